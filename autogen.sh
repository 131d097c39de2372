#!/bin/sh
# makes ./configure from configure.ac; a release tarball has it already.
set -eu
cd "$(dirname "$0")"
mkdir -p m4 build-aux
exec autoreconf --install --force --warnings=all,no-portability,no-obsolete
