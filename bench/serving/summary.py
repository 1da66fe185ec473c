import pandas as pd
from bench.serving.records import of
from bench.tables import markdown


def summary(table: pd.DataFrame) -> str:
    rows = []
    cpu = of(table, "requests", "cpu_us", "min")
    ours = cpu.get("kizashi", float("nan"))
    g = lambda f, h="median": of(table, "requests", f, h)
    ps, p50, p99, p999, w, pss = (
        g("per_second"),
        g("p50_us"),
        g("p99_us"),
        g("p999_us"),
        g("worker_mib"),
        g("pss_mib"),
    )
    st = g("start_s")
    for n in sorted(cpu, key=cpu.get):
        rows.append(
            [
                n,
                f"{cpu[n]:.0f}",
                f"{cpu[n] / ours:.2f}",
                f"{ps[n]:.0f}",
                f"{p50[n] / 1e3:.2f} / {p99[n] / 1e3:.2f} / {p999[n] / 1e3:.2f}",
                f"{w[n]:.0f} / {pss[n]:.0f}",
                f"{st[n]:.2f}",
            ]
        )
    return markdown(
        ["server", "CPU µs", "/ ours", "per s", "p50/p99/p99.9 ms", "worker RSS/ PSS", "start s"],
        rows,
    )


def brief(*a: object) -> str:
    return ""
