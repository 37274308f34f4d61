"""Good requests at a steady rate: `python3 -m fer_tools.attack_test.good PORT RATE`.

A process of its own, so that sending an attack does not delay it. It says `ready` after its first answer and ends when its
input does; then it prints each answer as a JSON array: when it was due (monotonic seconds), its status, its seconds. The
status of a request without an answer is 0.
"""

import asyncio
import json
import sys
import time

from fer_tools.shared.asynchttp import Address, message
from fer_tools.shared.images import png

GOOD = message("POST", "/predict", "image/png", png(48, 48))


async def main(server: Address, rate: float) -> None:
    answers: list[tuple[float, int, float]] = []

    async def one(due: float) -> None:
        try:
            status, _ = await asyncio.wait_for(server.ask(GOOD), 30)
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            status = 0
        answers.append((due, status, time.monotonic() - due))

    await one(time.monotonic())
    print("ready", flush=True)
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    began, tasks = time.monotonic(), []
    while not ended.done():
        due = began + len(tasks) / rate
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        tasks.append(asyncio.create_task(one(due)))
    await asyncio.gather(*tasks)
    for answer in answers[1:]:
        print(json.dumps(answer))


if __name__ == "__main__":
    asyncio.run(main(Address("127.0.0.1", int(sys.argv[1])), float(sys.argv[2])))
