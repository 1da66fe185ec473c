"""From any CSV of normal rows to a bundle in one command: no DVC, no registry, no labels.

python -m pipelines.fit data.path=my.csv output=model/
"""

from pathlib import Path

from omegaconf import DictConfig

from kizashi.data.report import parted
from kizashi.data.source import DataSource
from kizashi.data.validate import examine
from kizashi.errors import ConfigurationError
from pipelines.command import build, command, setting
from pipelines.rows import evaluated, labelled_rows, rows_to_choose_by, sensor_rows
from pipelines.tables import print_evaluation


@command("fit")
def main(config: DictConfig) -> None:
    source: DataSource = build(config.data)
    split, output = build(config.split), setting(config, "output", str)
    setting(config, "seed", int)
    if not output or Path(output).is_file():  # said before the training, not after it
        what = f"'{output}', a file" if output else "empty"
        raise ConfigurationError(f"output is {what}; a folder for the bundle is needed")
    frame = source.normal()
    contract = source.contract(frame, setting(config, "window.length", int))
    time = source.time_column(frame)
    normal = examine(frame, contract, time, max_step=source.max_step)
    normal.require_usable(source.max_bad_share)
    if len(normal.quarantine):
        quarantine = Path(output) / "quarantine.csv"
        quarantine.parent.mkdir(parents=True, exist_ok=True)
        normal.quarantine.to_csv(quarantine, index=False)
        print(f"{len(normal.quarantine):,} bad rows are left out; they are in {quarantine}:")
        for finding in normal.report["findings"]["first"][:5]:
            print(f"  {finding['detail']}")
    print(f"sensors: {', '.join(contract.names)}; time: {time or 'none, rows in order'}")
    if sentence := parted(normal.report["stretches"]):
        print(sentence)
    if normal.report["ignored_columns"]:
        print(f"ignored columns: {', '.join(normal.report['ignored_columns'])}")
    for warning in normal.report["warnings"]:
        print(f"warning: {warning}")
    rows = {
        name: sensor_rows(part, contract)
        for name, part in split(normal.rows, contract.window_length).items()
    }
    holdout = rows.pop("holdout")
    found = source.labelled_rows()
    labelled = None
    if found is not None:
        good = examine(found, contract, time, labelled=True, max_step=source.max_step)
        labelled = labelled_rows(good.require_usable(source.max_bad_share).rows, contract)
    # Torch and Lightning take seconds to import: what is wrong without them is said before.
    from kizashi.training.fit import NormalRows, fit_bundle
    from pipelines.recipe import recipe

    parts = recipe(config)
    normal_rows = NormalRows(**rows, in_time=split.in_time)
    chosen_by = rows_to_choose_by(parts.threshold, labelled)
    bundle = fit_bundle(parts, contract, normal_rows, Path(output), labelled=chosen_by)
    print_evaluation(evaluated(bundle, holdout, labelled), bundle)
    print(f"the bundle is in {output}; serve it with: KIZASHI_MODEL_URI={output} python -m serving")


if __name__ == "__main__":
    main()
