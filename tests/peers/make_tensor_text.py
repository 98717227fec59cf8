#!/usr/bin/env python3
"""How PyTorch prints tensors.

    python tests/peers/make_tensor_text.py

Writes tests/resources/golden/tensor_text.json: for each tensor its dtype, its shape, its values and the text, without
what PyTorch adds behind the elements. Values are written out, or made of their index i by a formula that is exact in
any language: ((i * multiplier) % modulus - offset) / divisor. Needs torch alone, and draws no random number.
"""

import json
import re
from pathlib import Path

import torch

INF, NAN = float("inf"), float("nan")
CASES = []


def case(shape, values, dtype=torch.float32):
    if isinstance(values, tuple):
        multiplier, modulus, offset, divisor = values
        count = torch.Size(shape).numel()
        numbers = [((i * multiplier) % modulus - offset) / divisor for i in range(count)]
        written = {"formula": list(values)}
    else:
        numbers = values
        written = {"values": [repr(float(v)) for v in values]}
    tensor = torch.tensor(numbers, dtype=torch.float64).reshape(shape).to(dtype)
    text = re.sub(r",\s+(size=\([^)]*\)|dtype=torch\.\w+)(?=[,)])", "", str(tensor))
    assert text.startswith("tensor(") and text.endswith(")"), text
    name = str(dtype).removeprefix("torch.")
    CASES.append({"dtype": name, "shape": list(shape), **written, "text": text[:-1]})


small = [1, 2.5, -3.25, 1e-3, 0, 0.1, -0.0, 99.5]
for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
    case([8], small, dtype)
    case([2, 4], small, dtype)
    case([3], [1e-5, 1, 2], dtype)
    case([2, 2, 2], [0.5, 1.5, -2.5, 3.5, 1e4, -1e4, NAN, INF], dtype)
case([4], [0.00005, 0.00015, 0.00025, 0.12345], torch.float64)  # ties of rounding
case([4], [0.03125, 0.09375, 2.5, 1.00005])
case([3], [1e8, 1, 2])
case([3], [1e8, 1e6, 1e7])
case([2], [2e8, 3e8])
case([3], [1000, 1, 2])
case([3], [1001, 1, 2])
case([3], [1000.5, 1, 2])
case([3], [1001.5, 1, 2])
case([3], [0.0001, 0.05, 0.09])
case([3], [0.00009, 0.05, 0.08])
case([4], [1e38, 1e-38, 0, -0.0])
case([3], [1e-300, 1e300, 9.99995e100], torch.float64)
case([3], [1.5e-7, 2.5e-7, 9.99995e-7], torch.float64)
case([5], [1, NAN, INF, -INF, 2])
case([5], [1.5, NAN, INF, -INF, 2])
case([4], [1e10, NAN, -INF, 0])
case([3], [0, 0, 0])
case([4], [NAN, 0, -0.0, INF])
case([2], [NAN, NAN])
case([3], [0, 1, -0.0])
for value in (3, 3.25, NAN, -INF, 0, 1e-7, 123456789):
    case([], [value])
for shape in ([0], [2, 0], [0, 3, 2]):
    case(shape, [])
case([0], [], torch.int64)
case([], [7], torch.int64)
case([6], [1, -20, 300, 0, 5, 6], torch.int64)
case([2, 3], [1, -20, 127, 0, 5, 6], torch.int8)
case([2, 3], [1, 20, 255, 0, 5, 6], torch.uint8)
case([3], [2**53, -(2**53), 1], torch.int64)
case([2, 2], [1, 0, 1, 1], torch.bool)
case([3], [1, 1, 1], torch.bool)
case([], [0], torch.bool)
case([100], (37, 101, 50, 4))  # several lines
case([100], (37, 101, 50, 1), torch.int32)
case([3, 30], (37, 101, 50, 8))
case([2, 3, 2, 2], (37, 101, 50, 8))
case([1000], (7919, 1009, 504, 64))
case([1001], (7919, 1009, 504, 64))
case([1001], (7919, 1009, 504, 1), torch.int64)
case([40, 30], (7919, 1009, 504, 64))
case([40, 30], (7919, 1009, 504, 1), torch.int16)
case([40, 30], (1, 2, 0, 1), torch.bool)
case([6, 200], (7919, 1009, 504, 64))
case([200, 6], (7919, 1009, 504, 64))
case([7, 8, 20], (7919, 1009, 504, 1024))
case([2, 10, 3, 20], (7919, 1009, 504, 64))
case([5, 5, 5, 9], (7919, 1009, 504, 64), torch.bfloat16)
case([4, 4, 4, 4, 4], (7919, 1009, 504, 64))
case([7, 7, 7, 7], (7919, 1000003, 0, 1))

folder = Path(__file__).resolve().parents[1] / "resources" / "golden"
lines = ",\n".join(json.dumps(c) for c in CASES)
with open(folder / "tensor_text.json", "w") as file:
    file.write('{"torch": ' + json.dumps(torch.__version__.split("+")[0]) + ', "tensors": [\n' + lines + "\n]}\n")
print(len(CASES), "tensors")
