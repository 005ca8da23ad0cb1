"""One load of the demonstration: `load.py SHARE WAVE_SECONDS MIB noisy|calm`. It ends when it is ended."""

import math
import sys
import time

_SLICE_SECONDS = 0.1


def main() -> None:
    """Burn a share of a CPU that goes up and down, and touch memory."""
    share, wave, mib = float(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    is_noisy = sys.argv[4] == "noisy"
    held = bytearray(mib << 20)
    place = 0
    begin = time.monotonic()
    while True:
        phase = ((time.monotonic() - begin) % wave) / wave
        wanted = (1.0 if phase < 1 / 3 else 0.0) if is_noisy else share * (1 + math.sin(2 * math.pi * phase))
        until = time.process_time() + min(wanted, 1.0) * _SLICE_SECONDS * 0.9
        while time.process_time() < until:
            # Through all of it, one page after the other: what a cache cannot hold.
            held[place] = (held[place] + 1) & 0xFF
            place = (place + 4096) % len(held)
        time.sleep(_SLICE_SECONDS * max(0.05, 1 - wanted))


if __name__ == "__main__":
    main()
