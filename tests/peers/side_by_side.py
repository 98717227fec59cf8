#!/usr/bin/env python3
"""Panascope and the peers in turn on the same files, in one session: ratios of times, pair by pair, and whether the
results agree.

    python tests/peers/side_by_side.py CASE --jar target/panascope.jar --java java [--pairs 5]

CASE is a full-size one of make_case.py (12 layers, 24,576 features at blocks.8.hook_resid_pre). Each side's process
is a fresh one every time, so that Java's
warming up counts, as Python's does. What is compared: the notebook's L0-and-losses cell on 32 rows (the peers' is
timed twice, and the better counts), dashboards of 11
features on --dash-rows rows, tokenizing and concatenating the corpus (with --texts also a file of texts, the first
time and, as the median of five, again in the same process), and, as whole processes, from the start to test_prompt
with and without the SAE.
"""

import argparse, json, math, os, platform, resource, statistics, subprocess, sys, tempfile, time
from pathlib import Path

ap = argparse.ArgumentParser()
ap.add_argument("case")
ap.add_argument("--jar", default="target/panascope.jar")
ap.add_argument("--java", default="java")
ap.add_argument("--pairs", type=int, default=5)
ap.add_argument("--dash-rows", type=int, default=256, help="0 leaves the dashboards out")
ap.add_argument("--rows", type=int, default=32)
ap.add_argument("--dtype", default="float32", help="ours; the peers' stays float32")
ap.add_argument(
    "--groups",
    help="instead of all this: the peers' dashboards of so many features, such as 11,64,256, what all "
    "features would take them, and what 11 and all take here",
)
ap.add_argument("--only", choices=["start"], help="from the start to test_prompt alone")
ap.add_argument("--texts", help="also tokenize and concatenate this Parquet file of texts")
ap.add_argument("--worker", default="", help=argparse.SUPPRESS)
a = ap.parse_args()
case = Path(a.case).resolve()
FEATURES, HOOK, PROMPT, ANSWER = (
    list(range(10)) + [14057],
    "blocks.8.hook_resid_pre",
    "When John and Mary went to the shops, John gave the bag to",
    "Mary",
)

# How far the residual stream that a feature is computed of may be off in bfloat16, as a share of its length. Each
# rounding is
# off by at most 2^-8 of its number, and by 2^-8 / sqrt(3) in the mean square. What a feature is computed of is
# rounded 22
# times: the stream where it begins and at two sums in each of 8 blocks (what is rounded inside a block is a small
# part of the
# stream), W_enc, b_enc, the input less b_dec, the product and the product with its bias. Which way each goes is
# chance, and
# squares add up: 1.06%. A feature sees of that the part in its own direction, one of d_model: this share of the
# stream's length
# times that of its column of W_enc over sqrt(d_model), however small the activation that is left of large terms.
# Three times
# that, as eleven features are compared.
BFLOAT16_STREAM = 3 * 2**-8 * math.sqrt((1 + 2 * 8 + 5) / 3)


def peers():
    """In a process of its own: loads, does what is asked for, prints one JSON object."""
    begin = time.perf_counter()
    os.environ.update(HF_HUB_CACHE=str(case / "hub"), HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")
    import torch, datasets

    datasets.disable_caching()
    from transformer_lens import HookedTransformer, utils
    from sae_lens import SAE

    torch.set_grad_enabled(False)
    seconds, result = {}, {}

    def timed(name, work, times=1):
        for _ in range(times):
            start = time.perf_counter()
            value = work()
            took = time.perf_counter() - start
            seconds[name] = min(took, seconds.get(name, took))
        return value

    model = timed("load_model", lambda: HookedTransformer.from_pretrained("gpt2-small", device="cpu"))
    sae = timed("load_sae", lambda: SAE.load_from_disk(str(case / "sae"), device="cpu"))
    sae.eval()
    if a.worker == "prompt":
        utils.test_prompt(PROMPT, ANSWER, model, prepend_bos=True)
        with model.hooks(fwd_hooks=[(HOOK, lambda act, hook: sae(act))]):
            utils.test_prompt(PROMPT, ANSWER, model, prepend_bos=True)
        return
    texts = datasets.Dataset.from_parquet(a.texts if a.worker == "texts" else str(case / "dataset.parquet"))

    def tokenize():
        found = utils.tokenize_and_concatenate(
            texts, model.tokenizer, streaming=True, max_length=128, add_bos_token=True
        )["tokens"]
        return found if torch.is_tensor(found) else torch.stack([torch.as_tensor(row) for row in found])

    tokens = timed("tokenize", tokenize)
    result["tokens"] = tokens.numel()
    if a.worker == "texts":
        for name in "abcde":
            timed(name, tokenize)
        seconds["again"] = statistics.median(seconds[name] for name in "abcde")
        finish(seconds, result)
        return
    batch = tokens[: a.rows]

    def cell():
        _, cache = model.run_with_cache(batch, prepend_bos=True)
        features = sae.encode(cache[HOOK])
        out = sae.decode(features)
        del cache
        l0 = (features[:, 1:] > 0).float().sum(-1).mean().item()
        del features
        return [
            l0,
            model(batch, return_type="loss").item(),
            model.run_with_hooks(batch, fwd_hooks=[(HOOK, lambda act, hook: out)], return_type="loss").item(),
            model.run_with_hooks(
                batch, fwd_hooks=[(HOOK, lambda act, hook: torch.zeros_like(act))], return_type="loss"
            ).item(),
        ]

    if a.worker != "groups":
        result["cell"] = timed("cell", cell, 2)
    result["peak_cell_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if a.dash_rows == 0:
        finish(seconds, result)
        return
    from sae_dashboard.sae_vis_data import SaeVisConfig
    from sae_dashboard.sae_vis_runner import SaeVisRunner
    from sae_dashboard.data_writing_fns import save_feature_centric_vis

    def dashboards(features=FEATURES):
        vis = SaeVisRunner(
            SaeVisConfig(
                hook_point=HOOK, features=features, minibatch_size_features=64, minibatch_size_tokens=256, device="cpu"
            )
        ).run(encoder=sae, model=model, tokens=tokens[: a.dash_rows])
        save_feature_centric_vis(sae_vis_data=vis, filename=os.path.join(tempfile.gettempdir(), "peers.html"))
        return vis

    if a.worker == "groups":
        for count in map(int, a.groups.split(",")):
            timed(str(count), lambda: dashboards(list(range(count))))
        finish(seconds, result)
        return
    vis = timed("dashboards", dashboards)
    result["max"] = vis.feature_stats.max
    _, cache = model.run_with_cache(tokens[:8], prepend_bos=True, names_filter=HOOK)
    stream = cache[HOOK][:, 1:].norm(dim=-1).mean()
    result["scale"] = (sae.W_enc[:, FEATURES].norm(dim=0) * stream / math.sqrt(sae.W_enc.shape[0])).tolist()
    finish(seconds, result)


def finish(seconds, result):
    print("RESULT " + json.dumps({"seconds": seconds, "result": result}))


def run(command):
    """Seconds, what it printed, and its peak memory in MB."""
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        out.seek(0)
        text = out.read()
    if status != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{text[-3000:]}")
    return time.perf_counter() - start, text, usage.ru_maxrss / 1024


def groups(files, ours):
    """A line through the peers' times of so many features, seen at all of them; ours as they are, with the model's
    pass, page and all, correlations among all."""
    _, text, _ = run(
        [
            sys.executable,
            __file__,
            str(case),
            "--worker",
            "groups",
            "--groups",
            a.groups,
            "--dash-rows",
            str(a.dash_rows),
        ]
    )
    theirs = json.loads(text[text.index("RESULT ") + 7 :].splitlines()[0])["seconds"]
    counts = [int(count) for count in a.groups.split(",")]
    times = [theirs[str(count)] for count in counts]
    slope, constant = statistics.linear_regression(counts, times)
    for count, seconds in zip(counts, times):
        print(f"  peers, {count:6} features  {seconds:9.1f} s", flush=True)
    print(
        f"  peers, {24576:6} features  {constant + slope * 24576:9.1f} s, extrapolated: {constant:.1f} s "
        f"and {slope * 1000:.1f} ms a feature",
        flush=True,
    )
    found = {}
    for pair in range(a.pairs):
        for name, features in (("11", ",".join(map(str, FEATURES))), ("all", "all")):
            with tempfile.TemporaryDirectory() as out:
                seconds, _, _ = run(
                    ours
                    + [
                        "dashboard",
                        *files,
                        "--dataset",
                        str(case / "dataset.parquet"),
                        "--tokenization",
                        "whitespace-chunks",
                        "--features",
                        features,
                        "--rows",
                        str(a.dash_rows),
                        "--out",
                        out + "/page.html",
                        "--quiet",
                    ]
                )
            found.setdefault(name, []).append(seconds)
            print(f"  ours, {name:>7} features  {seconds:9.1f} s (process)", flush=True)
    ratios = [all_ / few for few, all_ in zip(found["11"], found["all"])]
    print(f"  ours, all to 11: {statistics.median(ratios):.2f} times ({min(ratios):.2f} to {max(ratios):.2f})")


def compare(files, ours, note):
    """All but the start, in a process of ours and one of the peers'."""
    with tempfile.TemporaryDirectory() as out:
        _, text, peak = run(
            ours
            + [
                "tutorial",
                *files,
                "--dataset",
                str(case / "dataset.parquet"),
                "--tokenization",
                "whitespace-chunks",
                "--rows",
                str(a.rows),
                "--dashboard-rows",
                str(a.dash_rows),
                "--features",
                ",".join(map(str, FEATURES)),
                "--correlated-features",
                "chosen",
                "--dtype",
                a.dtype,
                "--out",
                out,
                "--quiet",
            ]
        )
        metrics = json.loads(Path(out, "metrics.json").read_text())
    _, text, _ = run(
        [sys.executable, __file__, str(case), "--worker", "all", "--rows", str(a.rows), "--dash-rows", str(a.dash_rows)]
    )
    peer = json.loads(text[text.index("RESULT ") + 7 :].splitlines()[0])
    seconds, theirs = metrics["seconds"], peer["seconds"]
    tolerance = 1e-4 if a.dtype == "float32" else 2e-2
    for name, value, expected in zip(
        ["l0_mean", "ce_orig", "ce_reconstr", "ce_zero"],
        [metrics[n] for n in ("l0_mean", "ce_orig", "ce_reconstr", "ce_zero")],
        peer["result"]["cell"],
    ):
        assert abs(value - expected) <= tolerance * abs(expected) * (5 if name == "l0_mean" else 1), (
            name,
            value,
            expected,
        )
    for feature, expected, scale in zip(
        metrics["features"], peer["result"].get("max", []), peer["result"].get("scale", [])
    ):
        allowed = max(1e-3, tolerance * abs(expected)) if a.dtype == "float32" else BFLOAT16_STREAM * scale
        assert abs(feature["max"] - expected) <= allowed, (feature, expected, allowed)
    note("L0 and losses, s", theirs["cell"], seconds["metrics"])
    if a.dash_rows:
        note("11 dashboards, s", theirs["dashboards"], seconds["dashboards"])
    note("tokenize, s", theirs["tokenize"], seconds["tokenize"])
    note("peak memory, MB", peer["result"]["peak_cell_mb"], peak)
    if a.texts:
        with tempfile.TemporaryDirectory() as out:
            run(ours + ["bench", "--only", "tokenize", "--texts", a.texts, "--json", out + "/bench.json"])
            own = json.loads(Path(out, "bench.json").read_text())
        _, text, _ = run([sys.executable, __file__, str(case), "--worker", "texts", "--texts", a.texts])
        other = json.loads(text[text.index("RESULT ") + 7 :].splitlines()[0])
        assert own["tokens"] == other["result"]["tokens"], (own["tokens"], other["result"]["tokens"])
        note("tokenize texts, first, s", other["seconds"]["tokenize"], own["tokenize_first"])
        note("tokenize texts, again, s", other["seconds"]["again"], own["tokenize_and_concatenate"])


def main():
    files = [
        "--model",
        str(case / "hub/models--gpt2/snapshots/0000000000000000000000000000000000000000"),
        "--sae",
        str(case / "sae"),
    ]
    ours = [a.java, "-jar", a.jar]
    if a.groups:
        return groups(files, ours)
    ratios = {}

    def note(name, theirs, own):
        ratios.setdefault(name, []).append(theirs / own)
        print(f"  {name:<28} peers {theirs:9.2f}   ours {own:9.2f}   {theirs / own:6.2f} times", flush=True)

    for pair in range(a.pairs):
        print(f"pair {pair + 1} of {a.pairs}", flush=True)
        if not a.only:
            compare(files, ours, note)
        own, _, _ = run(ours + ["prompt", *files, "--prompt", PROMPT, "--answer", ANSWER, "--dtype", a.dtype])
        other, _, _ = run([sys.executable, __file__, str(case), "--worker", "prompt"])
        note("start to test_prompt, s", other, own)
    print(
        f"\nmedians of {a.pairs} pairs, ours in {a.dtype}, {os.cpu_count()} processors, "
        f"{platform.machine()}; results agree"
    )
    for name, values in ratios.items():
        print(f"  {name:<28} {statistics.median(values):6.2f} times  ({min(values):.2f} to {max(values):.2f})")


peers() if a.worker else main()
