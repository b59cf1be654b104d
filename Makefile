# The front of the build. `make demo` and `make test` also install what they need (tools/deps.sh).
BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
NINJAFLAGS ?=
export PREFIX BUILD

.PHONY: all demo examples test test-full bench fuzz attack lint install clean deps vm vm-kernels

all:
	@tools/build.sh $(BUILD) $(NINJAFLAGS)

demo:
	@tools/deps.sh build
	@tools/build.sh $(BUILD) $(NINJAFLAGS)
	@$(BUILD)/hutch demo

examples:
	@tools/deps.sh build examples
	@tools/build.sh $(BUILD) $(NINJAFLAGS) examples

deps:
	@tools/deps.sh build test examples

test: deps
	@tools/build.sh $(BUILD) $(NINJAFLAGS)
	@tests/run

test-full:
	@tools/deps.sh build test examples full
	@tools/build.sh $(BUILD) $(NINJAFLAGS)
	@HUTCH_TEST_DEBIAN=$$(tools/testroot.sh) HUTCH_TEST_APT=$$(tools/testroot.sh apt) FULL=1 tests/run

attack: deps
	@tools/build.sh $(BUILD) $(NINJAFLAGS)
	@FULL=1 tests/run --show attack

bench:
	@tools/deps.sh build bench
	@tools/build.sh $(BUILD) $(NINJAFLAGS)
	@tests/bench/run

fuzz:
	@tools/deps.sh build fuzz
	@tools/build.sh $(BUILD) $(NINJAFLAGS)
	@tests/fuzz/run

# In virtual machines: all suites on KERNEL, or the short list on all kernels (docs/design/vm.md).
KERNEL ?= 6.1
vm:
	@tools/deps.sh build test vm
	@tools/build.sh $(BUILD) $(NINJAFLAGS)
	@tests/vm/run $(KERNEL)

vm-kernels:
	@tools/deps.sh build test vm
	@tools/build.sh $(BUILD) $(NINJAFLAGS)
	@tests/vm/run --short 5.10 6.1 6.12 7.3

lint:
	@tools/deps.sh build test lint
	@tools/lint.sh

install: all
	@DESTDIR='$(DESTDIR)' meson install -C $(BUILD) --no-rebuild --quiet

clean:
	@rm -rf $(BUILD)
