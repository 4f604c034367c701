#!/usr/bin/env bash
# Builds the Linux guest of the demo and of the kernel oracle, from Debian packages and the files beside this script.
#
#   demo/guest/build.sh [--clean]      three to five minutes on two cores; a second run has nothing to do
#
# Writes demo/guest/out/ (never committed: the kernel is GPL-2.0, SeaBIOS LGPL-3.0):
#   bzImage      Linux 6.12 with the initramfs inside
#   bios.bin     SeaBIOS, and vgabios.bin
#   guest.json   version, command lines of the two modes, checksums
#
# GUEST_WORK is where the kernel is unpacked and built (about 2 GB; kept, so that a change only links anew).
# GUEST_BUSYBOX is a static i386 busybox that is not installed, such as `dpkg -x` unpacks.

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$here/out
work=${GUEST_WORK:-${TMPDIR:-/tmp}/guest-build}
series=6.12
tarball=/usr/src/linux-source-$series.tar.xz
tree=$work/linux-source-$series
bios=/usr/share/seabios/bios.bin
vgabios=/usr/share/seabios/vgabios-stdvga.bin
busybox=${GUEST_BUSYBOX:-/bin/busybox}

say() { printf 'guest: %s\n' "$*" >&2; }
fail() { printf 'guest: Cannot build: %s\n' "$*" >&2; exit 1; }

# Runs a step with its output in a log, which is shown only when the step fails.
step() {
  local title=$1 log=$work/$2.log started=$SECONDS
  shift 2
  say "$title ..."
  if ! "$@" >"$log" 2>&1; then
    tail -n 25 "$log" >&2
    fail "$title failed, see $log"
  fi
  say "$title: $((SECONDS - started)) s"
}

is_static_i386() {
  # A static program names no interpreter.
  readelf -h "$1" 2>/dev/null | grep -q 'Machine: *Intel 80386' && ! readelf -l "$1" | grep -q INTERP
}

require_packages() {
  local missing=() name foreign=''
  local -A command_of=(
    [gcc]=gcc [make]=make [flex]=flex [bison]=bison [bc]=bc [lz4]=lz4 [rsync]=rsync [xz-utils]=xz [perl]=perl
  )
  for name in "${!command_of[@]}"; do
    command -v "${command_of[$name]}" >/dev/null || missing+=("$name")
  done
  [ -e "$tarball" ] || missing+=("linux-source-$series")
  [ -e /usr/include/libelf.h ] || missing+=(libelf-dev)
  [ -e "$bios" ] && [ -e "$vgabios" ] || missing+=(seabios)
  if command -v gcc >/dev/null &&
    ! echo 'int main(void) { return 0; }' | gcc -m32 -static -x c -o /dev/null - 2>/dev/null; then
    missing+=(gcc-multilib)
  fi
  if ! is_static_i386 "$busybox"; then
    missing+=(busybox-static:i386)
    foreign='dpkg --add-architecture i386 && '
  fi
  [ ${#missing[@]} -eq 0 ] && return
  fail "Debian packages are missing. As root:
  ${foreign}apt-get update && apt-get install --no-install-recommends ${missing[*]}"
}

# All that the result depends on, as one checksum.
inputs_sum() {
  {
    cat "$here"/{build.sh,linux.config,initramfs.list,init} "$here"/*.c "$busybox" "$bios" "$vgabios"
    stat -c '%s %Y' "$tarball"
    gcc --version
  } | sha256sum | cut -d' ' -f1
}

unpack() {
  rm -rf "$tree"
  # Sources of subsystems that are not built; their Kconfig files stay, since the configuration reads them.
  tar -C "$work" -xf "$tarball" --exclude='*.rst' --exclude='*.dts*' --exclude='*/sound/*.[ch]' \
    --exclude='*/drivers/gpu/*.[ch]' --exclude='*/tools/testing/*'
  stat -c '%s %Y' "$tarball" >"$tree/.unpacked"
}

kernel_make() {
  # Nothing of this machine or moment goes into the image.
  make -C "$tree" ARCH=i386 KBUILD_BUILD_TIMESTAMP='2026-01-01' KBUILD_BUILD_VERSION=1 KBUILD_BUILD_USER=stopcopy \
    KBUILD_BUILD_HOST=guest -j"$(nproc)" "$@"
}

configure() {
  kernel_make tinyconfig
  (
    cd "$tree"
    ARCH=i386 scripts/kconfig/merge_config.sh -m .config "$here/linux.config"
    scripts/config --set-str INITRAMFS_SOURCE "$work/initramfs.cpio"
  )
  kernel_make olddefconfig
  cp "$here/linux.config" "$tree/.fragment"
}

# A misspelt or unmet option disappears without a word; here it does not.
check_configuration() {
  local line lost=()
  while IFS= read -r line; do
    case $line in
      CONFIG_*) grep -qxF "$line" "$tree/.config" || lost+=("$line") ;;
      '# CONFIG_'*' is not set') ! grep -q "^${line:2:-11}=" "$tree/.config" || lost+=("$line") ;;
    esac
  done <"$here/linux.config"
  [ ${#lost[@]} -eq 0 ] || fail "the kernel's configuration did not take: ${lost[*]}"
}

build_programs() {
  local source
  for source in "$here"/*.c; do
    gcc -m32 -static -Os -s -std=gnu11 -Wall -Wextra -Werror -isystem "$work/headers/include" \
      -o "$work/$(basename "$source" .c)" "$source"
  done
}

build_initramfs() {
  gcc -O1 -o "$work/gen_init_cpio" "$tree/usr/gen_init_cpio.c"
  GUEST_HERE=$here GUEST_WORK=$work GUEST_BUSYBOX=$busybox \
    "$work/gen_init_cpio" -t 1767225600 "$here/initramfs.list" >"$work/initramfs.cpio.new"
  # An equal archive keeps its time, so that nothing is linked anew.
  cmp -s "$work/initramfs.cpio.new" "$work/initramfs.cpio" || mv "$work/initramfs.cpio.new" "$work/initramfs.cpio"
}

publish() {
  local version
  version=$(kernel_make -s kernelrelease)
  mkdir -p "$out"
  cp "$tree/arch/x86/boot/bzImage" "$out/bzImage"
  cp "$bios" "$out/bios.bin"
  cp "$vgabios" "$out/vgabios.bin"
  cat >"$out/guest.json" <<JSON
{
  "linux": "$version",
  "memoryBytes": 67108864,
  "commandLines": {
    "demo": "guest=demo console=tty0 $common_line",
    "oracle": "guest=oracle console=ttyS0 $common_line"
  },
  "sha256": {
    "bzImage": "$(sha256sum "$out/bzImage" | cut -d' ' -f1)",
    "bios.bin": "$(sha256sum "$out/bios.bin" | cut -d' ' -f1)",
    "vgabios.bin": "$(sha256sum "$out/vgabios.bin" | cut -d' ' -f1)"
  },
  "inputs": "$sum"
}
JSON
}
common_line='quiet loglevel=3 tsc=reliable nokaslr'

case ${1:-} in
  '') ;;
  --clean) rm -rf "$out" "$work" && say "removed $out and $work" && exit ;;
  *) printf 'usage: demo/guest/build.sh [--clean]\n' >&2 && exit 2 ;;
esac

require_packages
sum=$(inputs_sum)
if [ -s "$out/bzImage" ] && grep -qF "\"inputs\": \"$sum\"" "$out/guest.json" 2>/dev/null; then
  say "up to date: $out/bzImage"
  exit
fi

mkdir -p "$work"
started=$SECONDS
[ "$(cat "$tree/.unpacked" 2>/dev/null)" = "$(stat -c '%s %Y' "$tarball")" ] ||
  step "unpacking Linux $series" unpack unpack
[ -e "$work/initramfs.cpio" ] || : >"$work/initramfs.cpio"
cmp -s "$here/linux.config" "$tree/.fragment" || step 'configuring' configure configure
check_configuration
[ -e "$work/headers/include/linux/vfio.h" ] ||
  step 'installing the headers' headers kernel_make headers_install INSTALL_HDR_PATH="$work/headers"
step 'compiling the programs of the guest' programs build_programs
step 'making the initramfs' initramfs build_initramfs
step 'building the kernel (three to five minutes the first time)' kernel kernel_make bzImage
step 'copying the result' publish publish
say "done in $((SECONDS - started)) s: $out/bzImage, $(stat -c %s "$out/bzImage") bytes"
