#!/bin/bash
# Run as guest root: prints the package manifest, one line `<sha256>  <file>.deb` for every installed package that is not
# held. The digests come from apt's own index, so that nothing is downloaded. A package that the index does not know is
# printed as `missing  <file>.deb`.
#
# File names are those that apt gives in /var/cache/apt/archives: `_` and `:` of a version are written as %5f and %3a.
set -e -o pipefail
export LC_ALL=C

wanted=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}:${Architecture}=${Version}\n' | sed -n 's/^ii  *//p')

# `pkg:all` is not a name for apt-cache; an `all` package is found without its architecture.
xargs apt-cache show --no-all-versions <<<"${wanted//:all=/=}" 2>/dev/null |
  awk -v wanted="$wanted" '
    function file(package, version, arch) {
      gsub(/%/, "%25", version); gsub(/_/, "%5f", version); gsub(/:/, "%3a", version)
      return package "_" version "_" arch ".deb"
    }
    function record() {
      if (package != "" && sha256 != "") sum[file(package, version, arch)] = sha256
      package = version = arch = sha256 = ""
    }
    /^Package: /      { package = $2 }
    /^Version: /      { version = $2 }
    /^Architecture: / { arch = $2 }
    /^SHA256: /       { sha256 = $2 }
    /^$/              { record() }
    END {
      record()
      count = split(wanted, line, "\n")
      for (i = 1; i <= count; i++) {
        colon = index(line[i], ":"); equal = index(line[i], "=")
        name = file(substr(line[i], 1, colon - 1), substr(line[i], equal + 1), substr(line[i], colon + 1, equal - colon - 1))
        if (name in sum) print sum[name] "  " name
        else print "missing  " name
      }
    }' | sort --key 2 --unique
