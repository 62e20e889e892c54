"""The sample data: drawn raw sources with the files, the columns and the traps of the real ones.

    covid-chestxray-dataset/          metadata.csv, images/
    rsna-pneumonia-detection-challenge/
        stage_2_train_labels.csv, stage_2_detailed_class_info.csv     one row per box
        stage_2_train_images/<patientId>.dcm
        pneumonia-challenge-dataset-mappings_2018.json

`siim` and `covidx` draw two more sources, for the tests; --sample is quicker without them.

The code that reads the downloads reads these, too. The same seed and size give the same bytes: each
image has a random generator of its own, seeded by its name.
"""

from pathlib import Path

from data.sample import covid_chestxray, rsna

NOTE = "SAMPLE.txt"  # in the folder of both: what is there was drawn, and may be drawn again


def write_sample(
    folder: Path, seed: int = 1337, patients: int = 420, size: int = 256
) -> dict[str, Path]:
    """Write both raw sources below `folder` and return the folder of each by the source's name.

    A third each of `patients` (12 or more) is normal, has pneumonia, has COVID-19; they have 4
    images for every 3 patients. The traps come on top, whatever `patients` is, and RSNA's third
    class. RSNA's images are `size` pixels square, the others about as large.
    Files of these names that are there already are overwritten.
    """
    if patients < 12:
        raise ValueError(f"patients: found {patients}; expected 12 or more.")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / NOTE).write_text("Synthetic radiographs, drawn by generate_dataset.py --sample.\n")
    third = patients // 3
    # As in reality, COVID-19 comes from only one source and most of the healthy from the other.
    covid_shares = {"COVID-19": third, "pneumonia": round(0.3 * third), "normal": third // 6}
    rsna_shares = {
        "Lung Opacity": third - covid_shares["pneumonia"],
        "Normal": third - covid_shares["normal"],
        "No Lung Opacity / Not Normal": 1 + patients // 20,
    }
    folders = {
        "covid-chestxray": folder / "covid-chestxray-dataset",
        "rsna": folder / "rsna-pneumonia-detection-challenge",
    }
    covid_chestxray.write(folders["covid-chestxray"], seed, covid_shares, size)
    rsna.write(folders["rsna"], seed, rsna_shares, size)
    return folders
