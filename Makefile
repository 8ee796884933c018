# demo   the main job on real input          test   every test
# setup  installs what the others need       bench  measures, see BENCHMARKS.md
# install PREFIX=/usr/local [DESTDIR=…]      audit  licences and sources of the crates
SHELL := /bin/bash
PREFIX ?= /usr/local
CARGO ?= cargo

# What a fresh Debian machine with Rust lacks: to compile (OpenPGP by way of OpenSSL), to make guests, to sign, to test.
PACKAGES := git gnupg libclang-dev libssl-dev mmdebstrap pkg-config uidmap
PACKAGES_FOR_TESTS := apt-utils docker.io dpkg-dev lxc podman runc util-linux
PACKAGES_FOR_BENCH := time

comma := ,
PROGRAMS := gbuild gsign gverify make-base-vm
# Called by path, or through PATH by those who put the folder there.
LIBEXEC := copy-from-target copy-to-target make-clean-vm on-target start-target stop-target

.PHONY: all setup setup-test build demo test bench audit install clean

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

demo: build
	share/examples/demo target/demo

REQUIRED := sandbox,gpg$(if $(filter 0,$(shell id -u)),$(comma)user$(comma)docker$(comma)lxc$(comma)podman)

# A test that cannot run here says so; with GITIAN_TEST_REQUIRE it fails instead.
test: setup-test build
	GITIAN_TEST_REQUIRE=$${GITIAN_TEST_REQUIRE-$(REQUIRED)} $(CARGO) test --release --locked --workspace --no-fail-fast

bench: build
	$(call install-packages,$(PACKAGES_FOR_BENCH))
	tests/bench/run

# The advisory database is not consulted: it changes under a tree that does not.
audit:
	command -v cargo-deny >/dev/null || $(CARGO) install --locked cargo-deny
	$(CARGO) deny --all-features check bans licenses sources

install: to = $(DESTDIR)$(PREFIX)
install: build
	install -d "$(to)/lib/gitian" "$(to)/bin" "$(to)/libexec/gitian" "$(to)/share/doc/gitian"
	for p in $(PROGRAMS) $(LIBEXEC); do install -m 755 target/release/$$p "$(to)/lib/gitian/" || exit 1; done
	for p in $(PROGRAMS); do ln -sf ../lib/gitian/$$p "$(to)/bin/$$p" || exit 1; done
	for p in $(LIBEXEC); do ln -sf ../../lib/gitian/$$p "$(to)/libexec/gitian/$$p" || exit 1; done
	cp -r share/examples "$(to)/share/doc/gitian/"
	install -m 644 README.md LICENSE CHANGELOG.md share/doc/*.md "$(to)/share/doc/gitian/"

clean:
	$(CARGO) clean
