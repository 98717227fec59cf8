"""Writes tests/resources/datasets: the same 100 documents in every form that datasets come in.

    python tests/peers/make_datasets.py

Needs pyarrow 14 or newer and zstandard.
"""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

OUT = Path(__file__).resolve().parents[1] / "resources" / "datasets"
TEXTS = [f"Document {i}: " + "naïve 🤖 text. " * (i % 7) for i in range(100)]
TOKENS = [[(i * 31 + j * 7) % 50257 for j in range(16 + i % 3)] for i in range(100)]


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    table = pa.table({"id": pa.array(range(100)), "text": pa.array(TEXTS)})
    for codec in ("none", "snappy", "gzip", "zstd", "brotli"):
        pq.write_table(table, OUT / f"{codec}.parquet", compression=codec, row_group_size=30)
    for name, kind in (("tokens", pa.list_(pa.int32())), ("input_ids", pa.list_(pa.int64()))):
        pq.write_table(
            pa.table({"attention_mask": pa.array([[1] * len(ids) for ids in TOKENS]), name: pa.array(TOKENS, kind)}),
            OUT / f"{name}.parquet",
            row_group_size=40,
        )
    structure = pa.array([{"text": "not this"}] * 3)
    pq.write_table(
        pa.table({"meta": structure, "text": pa.array(["this", None, ""])}), OUT / "beside_structure.parquet"
    )
    pq.write_table(pa.table({"text": structure}), OUT / "structure.parquet")
    pq.write_table(pa.table({"tokens": pa.array([[1, 2], [3, None]])}), OUT / "null_token.parquet")
    pq.write_table(pa.table([pa.array(["a"]), pa.array(["b"])], names=["text", "text"]), OUT / "twice.parquet")
    pq.write_table(pa.table({"a.text": pa.array(["a", "b"]), "text": pa.array(["c", "d"])}), OUT / "dot.parquet")
    pq.write_table(pa.table({"tokens": pa.array([[1, 2], None])}), OUT / "null_list.parquet")
    for bits, id in ((32, 2**31 + 5), (64, 2**63 + 5)):
        unsigned = pa.array([[1, id]], pa.list_({32: pa.uint32(), 64: pa.uint64()}[bits]))
        pq.write_table(pa.table({"tokens": unsigned}), OUT / f"unsigned_{bits}.parquet")
    some = [None if i % 3 == 0 else f"{i % 50}" if i % 3 == 1 else "é🤖" * (i % 5) for i in range(200)]
    for dictionary in (True, False):
        form = "dictionary" if dictionary else "plain"
        pq.write_table(
            pa.table({"text": pa.array(some)}),
            OUT / f"nulls_{form}.parquet",
            row_group_size=90,
            use_dictionary=dictionary,
        )
    latin = pa.array(["\ufffd".encode(), "naïve".encode(), "naïve".encode("latin-1")], pa.binary())
    pq.write_table(pa.table({"text": latin}), OUT / "latin.parquet")
    pq.write_table(pa.table({"meta": structure, "text": latin}), OUT / "latin_beside_structure.parquet")
    lines = "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in TEXTS).encode()
    (OUT / "texts.jsonl").write_bytes(lines)
    (OUT / "texts.jsonl.gz").write_bytes(gzip.compress(lines, mtime=0))
    (OUT / "texts.jsonl.zst").write_bytes(zstandard.compress(lines))
    (OUT / "tokens.jsonl").write_text("".join(json.dumps({"input_ids": ids}) + "\n" for ids in TOKENS))


if __name__ == "__main__":
    main()
