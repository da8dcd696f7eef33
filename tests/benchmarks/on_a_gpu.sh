#!/usr/bin/env bash
# Everything to run when a GPU is at hand, in under ten minutes. It has not been run on one yet.
#
#     tests/benchmarks/on_a_gpu.sh [FOLDER]      # in a clone with pip install -e '.[test]'
#
# The GPU tests, a whole default run with its evaluation, a run on 64x64 RGB images, and ganctl bench with the time that is
# left. Each part has a limit in seconds, and what fails does not keep the others from running. FOLDER (default: on-a-gpu)
# gets a log of each part and figures.json. The exit code is the number of parts that failed. IMAGES names a folder of images
# for the run on 64x64; by default the avatars of sets.py are drawn, which needs the packages that it names.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
out=$(realpath -m "${1:-on-a-gpu}")
images=${IMAGES:-$out/avatars}
mkdir -p "$out"
failed=0

part() {  # part NAME LIMIT COMMAND...
    local name=$1 limit=$2 code=0 started=$SECONDS
    shift 2
    timeout --signal=INT --kill-after=10 "$limit" "$@" >"$out/$name.log" 2>&1 || code=$?
    echo "== $name: exit code $code, $((SECONDS - started)) s"
    tail -n 40 "$out/$name.log"
    [ "$code" = 0 ] || failed=$((failed + 1))
}

part machine 10 nvidia-smi
part tests 60 python -m pytest -n 0 -q -m gpu
part train 90 python -m ganctl train --device cuda --seed 0 --out "$out/mnist" -q
part evaluate 40 python -m ganctl evaluate "$out/mnist" --json
[ -n "${IMAGES:-}" ] || part sets 40 python tests/benchmarks/sets.py avatars "$images"
part train-64 80 python -m ganctl train --device cuda --data "$images" --size 64 --steps 1000 --out "$out/64" -q
part sample-64 15 python -m ganctl sample "$out/64" -n 64 -o "$out/64.png"
part bench "$((580 - SECONDS))" python -m ganctl bench --device cuda -o "$out/figures.json"
echo "== $failed parts failed, ${SECONDS} s in all, logs in $out"
exit "$failed"
