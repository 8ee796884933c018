# demo   the main job on real input          test   every test
# setup  installs what the others need       bench  measures, see BENCHMARKS.md
# install, uninstall PREFIX=/usr/local [DESTDIR=…]
# deb    a package for Debian 12, in dist/   static a gverify without libraries, in dist/
# audit  licences and sources of the crates
# fuzz   hostile input, FUZZ_SECONDS=600 for each target
SHELL := /bin/bash
PREFIX ?= /usr/local
CARGO ?= cargo

# What a fresh Debian machine with Rust lacks: to compile (OpenPGP by way of OpenSSL), to make guests, to sign, to test.
PACKAGES := arch-test curl git gnupg libclang-dev libssl-dev mmdebstrap pkg-config uidmap
PACKAGES_FOR_TESTS := apt-utils binutils cpio docker.io dpkg-dev e2fsprogs fdisk fish libarchive-tools lintian lxc man-db mtools openssh-client \
  openssl ovmf p7zip-full podman python3 qemu-system-x86 qemu-utils runc systemd-boot-efi unzip util-linux xz-utils zip zsh zstd
PACKAGES_FOR_BENCH := cpio python3 time xz-utils zip zstd
PACKAGES_FOR_DEB := binutils dpkg-dev
PACKAGES_FOR_FUZZ := g++

comma := ,
PROGRAMS := canon-zip gbuild gitian gitian-updater gsign gverify make-base-vm
# Called by path, or through PATH by those who put the folder there.
LIBEXEC := config-bootstrap-fixup config-lxc copy-from-target copy-to-target make-clean-vm on-target start-target stop-target

.PHONY: all setup setup-test build pages demo test bench audit fuzz install uninstall deb static clean

all: build

# apt-get through sudo when not root; only what is missing, and it says what.
define install-packages
	@missing=$$(for p in $(1); do dpkg-query -W -f '$${db:Status-Status}' $$p 2>/dev/null | grep -qx installed || echo $$p; done); \
	if [ -n "$$missing" ]; then \
	  sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  echo "setup: installing" $$missing; \
	  $$sudo apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -qq -y --no-install-recommends $$missing >/dev/null; \
	fi
endef

# An ordinary user needs a range of subordinate ids for his guests.
define give-subordinate-ids
	@if [ "$$(id -u)" != 0 ] && ! grep -q "^$$(id -un):" /etc/subuid 2>/dev/null; then \
	  echo "setup: giving $$(id -un) a range of subordinate ids"; \
	  sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 "$$(id -un)"; \
	fi
endef

setup:
	$(call install-packages,$(PACKAGES))
	$(call give-subordinate-ids)

# Root tests what an ordinary user can do as a user of its own.
setup-test: setup
	$(call install-packages,$(PACKAGES_FOR_TESTS))
	@if [ "$$(id -u)" = 0 ] && ! id gitian-test >/dev/null 2>&1; then \
	  echo "setup: making the user gitian-test"; \
	  useradd --create-home --shell /bin/bash gitian-test; \
	fi
	@if [ "$$(id -u)" = 0 ] && ! grep -q '^gitian-test:' /etc/subuid; then \
	  usermod --add-subuids 200000-265535 --add-subgids 200000-265535 gitian-test; \
	fi

build: setup
	$(CARGO) build --release --locked --bins
	@$(MAKE) --no-print-directory pages

# Manual pages and completions, from the programs' own command lines.
pages:
	rm -rf target/pages
	target/release/gitian-pages share/man target/pages

demo: build
	share/examples/demo target/demo

REQUIRED := archivers,sandbox,kvm,vbox,gpg,pages$(if $(filter 0,$(shell id -u)),$(comma)user$(comma)docker$(comma)lxc$(comma)podman)$(if $(wildcard dist/gverify),$(comma)static)$(if $(wildcard ../shared/data),$(comma)data)

# A test that cannot run here says so; with GITIAN_TEST_REQUIRE it fails instead.
test: setup-test build
	$(call install-packages,$(PACKAGES_FOR_DEB))
	GITIAN_TEST_REQUIRE=$${GITIAN_TEST_REQUIRE-$(REQUIRED)} $(CARGO) test --release --locked --workspace --no-fail-fast

bench: build
	$(call install-packages,$(PACKAGES_FOR_BENCH))
	tests/bench/run
	tests/bench/verify
	tests/bench/self
	tests/bench/canon

# The advisory database is not consulted: it changes under a tree that does not.
audit:
	command -v cargo-deny >/dev/null || $(CARGO) install --locked cargo-deny
	$(CARGO) deny --all-features check bans licenses sources

# Fuzzing needs features that the stable compiler has and hides; the programs do without. What is found lies in
# fuzz/artifacts and ends the run; what was learnt is kept in fuzz/corpus.
FUZZ_SECONDS ?= 600
FUZZ_TARGETS ?= assert policy signature sums
fuzz: setup
	$(call install-packages,$(PACKAGES_FOR_FUZZ))
	command -v cargo-fuzz >/dev/null || $(CARGO) install --locked cargo-fuzz
	cd fuzz && RUSTC_BOOTSTRAP=1 $(CARGO) fuzz build --fuzz-dir .
	cd fuzz && for target in $(FUZZ_TARGETS); do \
	  mkdir -p corpus/$$target && RUSTC_BOOTSTRAP=1 nice -n 19 $(CARGO) fuzz run --fuzz-dir . $$target \
	    corpus/$$target seeds/$$target -- -max_total_time=$(FUZZ_SECONDS) -timeout=25 -rss_limit_mb=2048 \
	    -print_final_stats=1 || exit 1; \
	done

# Installs what is there: root, who installs, need not have Rust, and nothing is set up or built on the way. One file is all
# programs: it is the one that it is called by. Settings of /usr are in /etc, where the programs look for them too; one that
# is not this version's stays. Without the numbers of lines in backtraces the file is a fifth, and so is each updater made with it. Modes are the same whatever the umask is, of whoever installs and of whoever checked this out.
DOCUMENTS := $(notdir README.md LICENSE CHANGELOG.md $(wildcard share/doc/*.md))
EXAMPLES := $(shell find share/examples -type f | sort)
install uninstall: doc = $(DESTDIR)$(PREFIX)/share/doc/gitian
install uninstall: etc = $(DESTDIR)$(filter-out /usr,$(PREFIX))/etc/gitian
install: to = $(DESTDIR)$(PREFIX)
install:
	@for built in release/gitian pages; do \
	  [ -e target/$$built ] || { echo "install: target/$$built is not built; run: make build" >&2; exit 1; }; \
	done
	install -d "$(to)/bin" "$(to)/libexec/gitian"
	install -D -m 755 -t "$(to)/lib/gitian" target/release/gitian
	! command -v strip >/dev/null || strip --strip-debug "$(to)/lib/gitian/gitian"
	for p in $(PROGRAMS); do ln -sf ../lib/gitian/gitian "$(to)/bin/$$p" || exit 1; done
	for p in $(LIBEXEC); do ln -sf ../../lib/gitian/gitian "$(to)/libexec/gitian/$$p" || exit 1; done
	install -m 644 -t "$(to)/libexec/gitian" libexec/gconfig
	@for file in etc/*; do \
	  at="$(etc)/$${file#etc/}"; new=; \
	  if [ -e "$$at" ] && ! cmp -s "$$file" "$$at"; then \
	    new=.new; echo "install: $$at is not this version's, and stays; this version's is $$at.new"; \
	  else rm -f "$$at.new"; fi; \
	  install -D -m 644 "$$file" "$$at$$new" || exit 1; \
	done
	install -D -m 644 -t "$(to)/share/man/man1" target/pages/man/*.1
	install -D -m 644 -t "$(to)/share/bash-completion/completions" target/pages/bash/*
	install -D -m 644 -t "$(to)/share/zsh/site-functions" target/pages/zsh/*
	install -D -m 644 -t "$(to)/share/fish/vendor_completions.d" target/pages/fish/*
	install -D -m 644 -t "$(doc)" README.md LICENSE CHANGELOG.md share/doc/*.md
	for file in $(EXAMPLES); do \
	  mode=644; [ ! -x "$$file" ] || mode=755; \
	  install -D -m $$mode "$$file" "$(doc)/$${file#share/}" || exit 1; \
	done

uninstall: to = $(DESTDIR)$(PREFIX)
uninstall:
	for p in $(PROGRAMS) $(LIBEXEC); do \
	  rm -f "$(to)/bin/$$p" "$(to)/share/man/man1/$$p.1" "$(to)/share/bash-completion/completions/$$p" \
	    "$(to)/share/zsh/site-functions/_$$p" "$(to)/share/fish/vendor_completions.d/$$p.fish"; \
	done
	rm -f "$(to)"/share/man/man1/gitian-*.1
	rm -f "$(to)/lib/gitian/gitian" $(LIBEXEC:%="$(to)/libexec/gitian/%") "$(to)/libexec/gitian/gconfig"
	rm -f $(DOCUMENTS:%="$(doc)/%") $(EXAMPLES:share/%="$(doc)/%")
	@for file in etc/*; do \
	  at="$(etc)/$${file#etc/}"; rm -f "$$at.new"; \
	  if [ -e "$$at" ] && ! cmp -s "$$file" "$$at"; then echo "uninstall: $$at is not this version's, and stays"; else rm -f "$$at"; fi; \
	done
	@for folder in "$(to)/lib/gitian" "$(to)/libexec/gitian" "$(etc)" "$(doc)"; do \
	  [ ! -d "$$folder" ] || find "$$folder" -depth -type d -empty -delete; \
	done

# Packs what is built, in the same bytes whenever that is done.
deb:
	$(call install-packages,$(PACKAGES_FOR_DEB))
	share/debian/pack dist

# All of gverify in one file: glibc, OpenSSL and everything else, for computers that lack them or have others.
STATIC := x86_64-unknown-linux-gnu
static: setup
	RUSTFLAGS="-C target-feature=+crt-static" OPENSSL_STATIC=1 \
	  $(CARGO) build --release --locked --target $(STATIC) -p gitian-cli --bin gverify
	install -d dist
	strip -o dist/gverify target/$(STATIC)/release/gverify

# What the guests of an ordinary user wrote belongs to his subordinate ids.
clean:
	rm -rf target/demo 2>/dev/null || unshare --map-auto --map-root-user rm -rf target/demo
	$(CARGO) clean
