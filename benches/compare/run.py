#!/usr/bin/env python3
"""Images per second of the network alone: this project's engines, PyTorch, OpenVINO and ONNX Runtime.

All of them run the same weights (model.safetensors) on the same images, and must give the same labels. They
take turns, round after round, so that other work on the machine affects all of them alike; the table gives
medians over the rounds and their ratio to OpenVINO bf16 and to PyTorch.

"1 thread" is one worker; "2 threads" is the better of two one-thread workers and one two-thread worker for the
peers (two OpenVINO streams count as two workers), and two one-thread workers for ours.
"""

import argparse
import json
import multiprocessing
import os
import struct
import subprocess
import sys
import time

SIDE, EPSILON = 48, 1e-3
CONVS = [("conv1", 1), ("conv2", 2), ("conv3", 1), ("conv4", 0)]  # name, padding
DENSE = ["dense1", "dense2", "output"]


def read_safetensors(path):
    import numpy as np

    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = file.read()
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            tensors[name] = np.frombuffer(data[begin:end], dtype="<f4").reshape(entry["shape"]).copy()
    return tensors


def folded(t):
    """Layer name -> (weight, bias) with batch norm folded in."""
    import numpy as np

    layers = {}
    for name in [c for c, _ in CONVS] + DENSE:
        weight, bias = t[f"{name}.weight"].astype(np.float64), t[f"{name}.bias"].astype(np.float64)
        if f"{name}.bn.weight" in t:
            factor = t[f"{name}.bn.weight"] / np.sqrt(t[f"{name}.bn.running_var"].astype(np.float64) + EPSILON)
            bias = (bias - t[f"{name}.bn.running_mean"]) * factor + t[f"{name}.bn.bias"]
            weight = weight * factor.reshape([-1] + [1] * (weight.ndim - 1))
        layers[name] = (weight.astype(np.float32), bias.astype(np.float32))
    return layers


def pictures(n):
    import numpy as np

    return np.random.default_rng(1).standard_normal((n, 1, SIDE, SIDE)).astype(np.float32)


# ---- peers: each gives a function from a batch to its logits ----------------------------------------------


def pytorch_network(model, threads):
    """The network as a module of PyTorch: eager, float, batch norm as layers of its own, as most serve it."""
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    t = {k: torch.from_numpy(v) for k, v in read_safetensors(os.path.join(model, "model.safetensors")).items()}

    def norm(kind, name):
        layer = kind(t[f"{name}.bias"].numel(), eps=EPSILON)
        layer.weight.data, layer.bias.data = t[f"{name}.bn.weight"], t[f"{name}.bn.bias"]
        layer.running_mean, layer.running_var = t[f"{name}.bn.running_mean"], t[f"{name}.bn.running_var"]
        return layer

    steps = []
    for name, padding in CONVS:
        weight = t[f"{name}.weight"]
        conv = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2], padding=padding)
        conv.weight.data, conv.bias.data = weight, t[f"{name}.bias"]
        steps += [conv, norm(nn.BatchNorm2d, name), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25)]
    steps.append(nn.Flatten())
    for name in DENSE:
        weight = t[f"{name}.weight"]
        dense = nn.Linear(weight.shape[1], weight.shape[0])
        dense.weight.data, dense.bias.data = weight, t[f"{name}.bias"]
        steps.append(dense)
        if name != "output":
            steps += [norm(nn.BatchNorm1d, name), nn.ReLU(), nn.Dropout(0.25)]
    return nn.Sequential(*steps).eval()


def pytorch(model, batch, threads):
    import torch

    network = pytorch_network(model, threads)
    x = torch.from_numpy(pictures(batch))

    def run():
        with torch.inference_mode():
            return network(x).numpy()

    return run


def openvino(model, batch, threads, precision):
    import numpy as np
    import openvino as ov
    from openvino import opset13 as op

    layers = folded(read_safetensors(os.path.join(model, "model.safetensors")))
    x = parameter = op.parameter([batch, 1, SIDE, SIDE], np.float32)
    for name, padding in CONVS:
        weight, bias = layers[name]
        x = op.convolution(x, op.constant(weight), [1, 1], [padding] * 2, [padding] * 2, [1, 1])
        x = op.relu(op.add(x, op.constant(bias.reshape(1, -1, 1, 1))))
        x = op.max_pool(x, [2, 2], [1, 1], [0, 0], [0, 0], [2, 2]).output(0)
    x = op.reshape(x, op.constant(np.array([0, -1])), True)
    for name in DENSE:
        weight, bias = layers[name]
        x = op.add(op.matmul(x, op.constant(weight), False, True), op.constant(bias.reshape(1, -1)))
        if name != "output":
            x = op.relu(x)
    config = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": precision}
    request = ov.Core().compile_model(ov.Model([x], [parameter]), "CPU", config).create_infer_request()
    images = pictures(batch)
    return lambda: next(iter(request.infer({0: images}).values()))


def onnxruntime(model, batch, threads):
    import onnx
    import onnxruntime as ort
    from onnx import helper, numpy_helper

    layers = folded(read_safetensors(os.path.join(model, "model.safetensors")))
    nodes, constants, at = [], [], "x"

    def add(kind, inputs, **attributes):
        name = f"v{len(nodes)}"
        nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    for name, (weight, bias) in layers.items():
        constants += [numpy_helper.from_array(weight, f"{name}.w"), numpy_helper.from_array(bias, f"{name}.b")]
    for name, padding in CONVS:
        at = add("Conv", [at, f"{name}.w", f"{name}.b"], pads=[padding] * 4)
        at = add("MaxPool", [add("Relu", [at])], kernel_shape=[2, 2], strides=[2, 2])
    at = add("Flatten", [at])
    for name in DENSE:
        at = add("Gemm", [at, f"{name}.w", f"{name}.b"], transB=1)
        if name != "output":
            at = add("Relu", [at])
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "fer",
        [helper.make_tensor_value_info("x", kind, [batch, 1, SIDE, SIDE])],
        [helper.make_tensor_value_info(at, kind, [batch, 7])],
        constants,
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    images = pictures(batch)
    return lambda: session.run(None, {"x": images})[0]


PEERS = {
    "PyTorch eager f32": ("torch", lambda m, b, t: pytorch(m, b, t)),
    "OpenVINO f32": ("openvino", lambda m, b, t: openvino(m, b, t, "f32")),
    "OpenVINO bf16": ("openvino", lambda m, b, t: openvino(m, b, t, "bf16")),
    "ONNX Runtime f32": ("onnxruntime", lambda m, b, t: onnxruntime(m, b, t)),
}


def worker(name, model, batch, threads, pipe):
    """Measures for as many seconds as it is told, again and again; None ends it."""
    run = PEERS[name][1](model, batch, threads)
    labels = run().argmax(1).tolist()
    for _ in range(3):
        run()
    pipe.send(labels)
    while (seconds := pipe.recv()) is not None:
        begin, images = time.perf_counter(), 0
        while time.perf_counter() - begin < seconds:
            run()
            images += batch
        pipe.send(images / (time.perf_counter() - begin))


class Point:
    """A peer in one arrangement: `workers` processes of `threads` threads. Its processes wait between turns."""

    def __init__(self, name, model, batch, workers, threads):
        self.pipes, self.labels = [], None
        context = multiprocessing.get_context("spawn")
        for _ in range(workers):
            ours, theirs = context.Pipe()
            process = context.Process(target=worker, args=(name, model, batch, threads, theirs), daemon=True)
            process.start()
            # Otherwise recv() waits forever for a worker that failed.
            theirs.close()
            self.pipes.append(ours)
        for pipe in self.pipes:
            self.labels = pipe.recv()

    def measure(self, seconds):
        for pipe in self.pipes:
            pipe.send(seconds)
        return sum(pipe.recv() for pipe in self.pipes)

    def close(self):
        for pipe in self.pipes:
            pipe.send(None)


def ours(command, seconds, batches, workers):
    """{(name, batch, workers): images per second} of one run of `fer-serve bench --json`."""
    flags = ["--json", "--repeats", "1", "--duration-ms", str(int(seconds * 1000))]
    flags += ["--batches", ",".join(map(str, batches)), "--workers", ",".join(map(str, workers))]
    done = subprocess.run(command + flags, check=True, capture_output=True, text=True)
    found = {}
    for row in json.loads(done.stdout)["rows"]:
        name = f"ours: {row['engine']} {row['precision']}"
        found[name, row["batch"], row["workers"]] = row["images_per_second"][0]
    return found


def median(values):
    return sorted(values)[len(values) // 2]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="model", help="model folder (default: %(default)s)")
    parser.add_argument("--fer-serve", default="target/release/fer-serve", help="our binary (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.3, help="of each measurement (default: %(default)s)")
    parser.add_argument("--batches", type=lambda s: [int(x) for x in s.split(",")], default=[1, 8, 32])
    parser.add_argument("--threads", type=lambda s: [int(x) for x in s.split(",")], default=[1, 2], help="1, 2 or 1,2")
    parser.add_argument("--json", action="store_true", help="print the medians as JSON instead of a table")
    args = parser.parse_args()
    command = args.fer_serve.split() + ["bench", "--model", args.model]

    here = []
    for name, (module, _) in PEERS.items():
        try:
            __import__(module)
            here.append(name)
        except ImportError:
            print(f"{name}: {module} is not installed; left out", file=sys.stderr)
    results = {}
    for batch in args.batches:
        points, labels = {}, None
        for name in here:
            for workers, threads in [a for a in [(1, 1), (2, 1), (1, 2)] if a[0] * a[1] in args.threads]:
                point = points[name, workers, threads] = Point(name, args.model, batch, workers, threads)
                if labels is None:
                    labels = point.labels
                if name.endswith("f32") and point.labels != labels:
                    sys.exit(f"{name} answers {point.labels}, {here[0]} {labels}: not the same network")
        for _ in range(args.rounds):
            for (name, workers, threads), point in points.items():
                key = (name, batch, workers * threads, workers)
                results.setdefault(key, []).append(point.measure(args.seconds))
            for (name, size, workers), speed in ours(command, args.seconds, [batch], args.threads).items():
                results.setdefault((name, size, workers, workers), []).append(speed)
        for point in points.values():
            point.close()

    best = {}
    for (name, batch, threads, _), speeds in results.items():
        key = (name, batch, threads)
        best[key] = max(best.get(key, 0), median(speeds))
    if args.json:
        rows = [dict(name=n, batch=b, threads=t, images_per_second=s) for (n, b, t), s in best.items()]
        print(json.dumps({"rows": rows}, indent=1))
        return
    print(f"{'':<26} {'threads':>7} {'batch':>5} {'images/s':>9} {'÷ OpenVINO bf16':>16} {'÷ PyTorch':>10}")
    for threads in args.threads:
        for batch in args.batches:
            for (name, b, t), speed in best.items():
                if (b, t) == (batch, threads):
                    ratios = [best.get((peer, b, t)) for peer in ("OpenVINO bf16", "PyTorch eager f32")]
                    text = [f"{speed / r:.2f}" if r else "–" for r in ratios]
                    print(f"{name:<26} {t:>7} {b:>5} {speed:>9.0f} {text[0]:>16} {text[1]:>10}")
        print()


if __name__ == "__main__":
    main()
