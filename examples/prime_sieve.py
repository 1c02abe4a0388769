"""The sieve of Eratosthenes, as a chain of goroutines: each holds back the multiples of one prime.

    python examples/prime_sieve.py        the first 25 primes
    python examples/prime_sieve.py 500

The chain grows by one goroutine and one channel for each prime. It has no end of its own: when main
returns, so does everybody else.
"""

import argparse
import itertools
from contextlib import suppress

import gopoll
from gopoll import Chan, go


def generate(numbers: Chan[int]) -> None:
    for number in itertools.count(2):
        numbers.send(number)


def sift(numbers: Chan[int], rest: Chan[int], prime: int) -> None:
    for number in numbers:
        if number % prime:
            rest.send(number)


def main() -> None:
    parser = argparse.ArgumentParser(description="Print prime numbers.")
    parser.add_argument("count", type=int, nargs="?", default=25, help="how many (%(default)s)")
    options = parser.parse_args()

    numbers = Chan[int]()
    go(generate, numbers)
    for _ in range(options.count):
        prime = numbers.recv()
        print(prime)
        rest = Chan[int]()
        go(sift, numbers, rest, prime)
        numbers = rest


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        gopoll.run(main)
