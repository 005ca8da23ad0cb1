"""A process of a unit: ordinary work, a victim, or noise, until it is ended."""

import mmap
import os
import random
import sys
import time

PAGE = 4096
MIB = 1 << 20


def spin(seconds: float) -> None:
    """Use a CPU, of its own time."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def work(duty: float) -> None:
    """A tenth of a second's work again and again: this part of a CPU."""
    while True:
        spin(0.1 * duty)
        time.sleep(0.1 * (1 - duty))


def serve(duty: float, quantum: float) -> None:
    """A victim of CPU: requests of so many seconds' work, one at a time, with a pause behind each."""
    while True:
        spin(quantum)
        time.sleep(quantum / duty - quantum)


def rest() -> None:
    """Nothing, for ever."""
    while True:
        time.sleep(3600)


def ordinary(folder: str, seed: int) -> None:
    """Changing work: mostly little, sometimes a burst, sometimes a file."""
    rng = random.Random(seed)
    path = os.path.join(folder, f"ordinary-{seed}")
    while True:
        for _ in range(rng.randrange(20, 100)):
            spin(0.1 * rng.uniform(0.01, 0.08))
            time.sleep(0.1)
        spin(rng.uniform(0.1, 0.8))
        if rng.random() < 0.4:
            with open(path, "wb") as file:
                file.write(os.urandom(rng.randrange(1, 4) * MIB))


def store(folder: str) -> None:
    """A victim of storage: small records that must be on the disk."""
    with open(os.path.join(folder, "records"), "wb") as file:
        while True:
            file.seek(0)
            file.write(os.urandom(PAGE))
            file.flush()
            os.fdatasync(file.fileno())
            time.sleep(0.02)


def flood(folder: str) -> None:
    """Noise of storage: as much as it takes, past the page cache."""
    block = mmap.mmap(-1, MIB)
    block.write(os.urandom(MIB))
    descriptor = os.open(os.path.join(folder, f"flood-{os.getpid()}"), os.O_WRONLY | os.O_CREAT | os.O_DIRECT)
    while True:
        os.lseek(descriptor, 0, os.SEEK_SET)
        for _ in range(128):
            os.write(descriptor, block)


def reread(folder: str, size: int) -> None:
    """A victim of memory: it reads a file that fits the page cache as long as nobody takes it."""
    path = os.path.join(folder, "table")
    with open(path, "wb") as file:
        for _ in range(size // MIB):
            file.write(os.urandom(MIB))
    with open(path, "rb") as written, mmap.mmap(written.fileno(), 0, prot=mmap.PROT_READ) as table:
        rng, total = random.Random(1), 0
        while True:
            for _ in range(400):
                total += table[rng.randrange(size // PAGE) * PAGE]
            time.sleep(0.02)


def hold(size: int) -> None:
    """Noise of memory: it takes so much, and touches it again and again."""
    held = mmap.mmap(-1, size)
    while True:
        for page in range(0, size, PAGE):
            held[page] = 1
        time.sleep(0.01)


def main(words: list[str]) -> None:
    """Do what is named first, with what follows."""
    match words:
        case ["work", duty]:
            work(float(duty))
        case ["serve", duty, quantum]:
            serve(float(duty), float(quantum))
        case ["rest"]:
            rest()
        case ["ordinary", folder, seed]:
            ordinary(folder, int(seed))
        case ["store", folder]:
            store(folder)
        case ["flood", folder]:
            flood(folder)
        case ["reread", folder, size]:
            reread(folder, int(size))
        case ["hold", size]:
            hold(int(size))
        case _:
            sys.exit(f"no such load: {words}")


if __name__ == "__main__":
    main(sys.argv[1:])
