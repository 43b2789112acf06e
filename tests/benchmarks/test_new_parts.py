import numpy as np

from benchmarks.new_parts import share_of_parts, table


def test_that_each_new_part_counts_alike_however_many_images_show_it() -> None:
    flagged = np.array([True, True, True, False, False])
    assert share_of_parts(flagged, (7, 7, 7, 1, 2)) == 1 / 3
    assert share_of_parts(~flagged, (7, 7, 7, 1, 1)) == 1 / 2


def test_that_the_table_has_the_mean_over_seeds() -> None:
    row = {"dataset": "bottle", "asked": "all", "images": "130", "calibration": "cross", "held_out": "60"}
    row |= {"held_out_parts": "58", "promised": "0.05", "misses": "0.1", "image_auroc": "0.99", "train_s": "40"}
    rows = [row | {"seed": "0", "false_alarms": "0.02"}, row | {"seed": "1", "false_alarms": "0.06"}]
    rows.append(rows[0] | {"calibration": "split"})
    _, _, cross, split = table(rows).splitlines()
    assert cross == "| bottle | 130 | in turns | 2 | 58 | 5.0 % | 4.0 % (2.0, 6.0) | 10.0 % | 0.9900 |"
    assert "| once | 1 |" in split
