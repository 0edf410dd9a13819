"""A gRPC server and a client of it, both Google's grpc library; messages are plain bytes.

    grpc_pair.py serve HOST:PORT             until it is killed; prints "ready"
    grpc_pair.py call HOST:PORT CALLS RATE   that many calls at that many a second at most

The client prints a line a call as it saw it: id (also its x-request-id), path, status, messages sent, messages received.
"""
import itertools, sys, time
from concurrent import futures
import grpc

SERVICE = "shop.v1.Orders"
CODES = {code.value[0]: code for code in grpc.StatusCode}


def finish(context, status):
    if status:
        context.abort(CODES[status], "as asked")


def number(message, at):
    return int(message.split(b" ")[at])


# Each request says what it wants: b"STATUS MESSAGES FILLING".
def get(request, context):
    finish(context, number(request, 0))
    return b"order " + request


def listing(request, context):
    for index in range(number(request, 1)):
        yield b"order %d " % index + request
    finish(context, number(request, 0))


def upload(requests, context):
    requests = list(requests)
    finish(context, number(requests[0], 0))
    return b"%d orders" % len(requests)


def chat(requests, context):
    status = 0
    for request in requests:
        status = number(request, 0)
        yield b"echo " + request
    finish(context, status)


def serve(target):
    methods = {
        "Get": grpc.unary_unary_rpc_method_handler(get),
        "List": grpc.unary_stream_rpc_method_handler(listing),
        "Upload": grpc.stream_unary_rpc_method_handler(upload),
        "Chat": grpc.stream_stream_rpc_method_handler(chat),
    }
    server = grpc.server(futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    assert server.add_insecure_port(target)
    server.start()
    print("ready", flush=True)
    server.wait_for_termination()


def call(target, calls, rate):
    # A subchannel pool of its own: a connection for each channel.
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
    channels = [grpc.insecure_channel(target, options=options) for _ in range(3)]
    for channel in channels:
        grpc.channel_ready_future(channel).result(30)
    flight, started = [], time.monotonic()

    def settle(left):
        while len(flight) > left:
            ident, path, sent, answer = flight.pop(0)
            received, status = 0, 0
            try:
                # A call that streams answers is read to its end, any other has one.
                if path.endswith(("/List", "/Chat")):
                    for _ in answer:
                        received += 1
                else:
                    answer.result()
                    received = 1
            except grpc.RpcError as error:
                status = error.code().value[0]
            print(ident, path, status, sent, received, sep="\t")

    for index in range(calls):
        ident, channel = f"call-{index}", channels[index % len(channels)]
        status = (0, 0, 0, 0, 5, 0, 0, 13, 0, 16)[index // 5 % 10]
        message = b"%d %d " % (status, index % 7) + b"x" * (index * 37 % 3000)
        kind = ("Get", "List", "Upload", "Chat", "Get")[index % 5]
        # Now and then a method that is not there: UNIMPLEMENTED, from the library itself.
        path, sent = f"/{SERVICE}/" + ("Missing" if index % 50 == 49 else kind), 1
        metadata = (("x-request-id", ident), ("authorization", "Bearer abc.def.ghi"))
        if kind == "Get":
            answer = channel.unary_unary(path).future(message, metadata=metadata)
        elif kind == "List":
            answer = channel.unary_stream(path)(message, metadata=metadata)
        else:
            sent = 1 + index % 9
            method = channel.stream_unary(path).future if kind == "Upload" else channel.stream_stream(path)
            answer = method(itertools.repeat(message, sent), metadata=metadata)
        flight.append((ident, path, sent, answer))
        settle(16)
        time.sleep(max(0.0, started + index / rate - time.monotonic()))
    settle(0)
    for channel in channels:
        channel.close()


if sys.argv[1] == "serve":
    serve(sys.argv[2])
else:
    call(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
