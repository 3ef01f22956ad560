"""A service that asks Weir itself, without a proxy (weir.v1, proto/weir/v1/limiter.proto).

    pip install grpcio grpcio-tools && mkdir stubs
    python -m grpc_tools.protoc -Iproto --python_out=stubs --grpc_python_out=stubs \
        weir/v1/limiter.proto
    PYTHONPATH=stubs python docs/example/clients/check.py 127.0.0.1:8081
"""

import sys
import time

import grpc
from weir.v1 import limiter_pb2, limiter_pb2_grpc

# What a call may take. Decide beforehand what happens without an answer: here, it is an error.
TIMEOUT_SECONDS = 1


def request(hits=None, domain="shop", **entries):
    """One descriptor; hits=None asks for one hit."""
    descriptor = limiter_pb2.Descriptor(entries=[
        limiter_pb2.Entry(key=key, value=value) for key, value in entries.items()])
    return limiter_pb2.CheckRequest(domain=domain, descriptors=[descriptor], hits=hits)


def seconds(duration):
    return duration.ToNanoseconds() / 1e9


def take_turn(limiter, hits, **entries):
    """Returns once the hits are admitted, however long that takes."""
    while True:
        answer = limiter.Check(request(hits, **entries), timeout=TIMEOUT_SECONDS)
        if answer.allowed:
            return answer.items[0]
        if answer.items[0].never:
            raise ValueError(f"{hits} hits are more than the limit ever admits")
        # Exact: denied before, admitted at it, unless others were faster.
        print(f"turn: wait {seconds(answer.retry_after):.3f} s")
        time.sleep(seconds(answer.retry_after))


def main(address):
    with grpc.insecure_channel(address) as channel:
        limiter = limiter_pb2_grpc.LimiterStub(channel)

        # Weir never waits by itself: who wants to wait is told how long.
        for _ in range(6):
            take_turn(limiter, 10, api_key="demo")
            print("turn: go")

        # Six checks against five hits per window.
        for _ in range(6):
            item = limiter.Check(request(user="ann"), timeout=TIMEOUT_SECONDS).items[0]
            word = "allowed" if item.allowed else "denied"
            print(f"check: {word}, {item.remaining} of {item.limit.hits} remain")

        # Two of the five are given back, then one is charged after the fact. Peek only looks.
        limiter.Refund(request(2, user="ann"), timeout=TIMEOUT_SECONDS)
        print(f"refund: {limiter.Peek(request(user='ann')).items[0].remaining} remain")
        limiter.Report(request(1, user="ann"), timeout=TIMEOUT_SECONDS)
        print(f"report: {limiter.Peek(request(user='ann')).items[0].remaining} remain")

        # Many at once: an answer for each, in order; an error stays in its item.
        batch = limiter_pb2.CheckBatchRequest(items=[
            request(2, user="ann"), request(user="ben"), request(domain="", user="ann")])
        for item in limiter.CheckBatch(batch, timeout=TIMEOUT_SECONDS).items:
            if item.HasField("error"):
                print(f"batch: error, {item.error.message}")
            else:
                print(f"batch: {'allowed' if item.response.allowed else 'denied'}")


if __name__ == "__main__":
    main(sys.argv[1])
