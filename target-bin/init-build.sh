#!/bin/bash
# Run as the guest user, in its home, before anything is copied in: empties the folders that a build works in.
set -e
cd "$HOME"
chmod -R u+rwX install out build cache 2>/dev/null || true
rm -rf install out build cache
mkdir install out build cache
