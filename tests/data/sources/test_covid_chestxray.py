import csv

import pytest

from data.sources import covid_chestxray
from data.sources.covid_chestxray import label_of

# The header of each generation of metadata.csv, as in the files.
MAR_2020 = (
    "Patientid,offset,sex,age,finding,survival,view,date,location,filename,doi, url,license,notes"
)
APR_2020 = (
    "Patientid,offset,sex,age,finding,survival,view,modality,date,location,filename,doi, url,"
    "license,clinical notes,other notes,"
)
MAY_2020 = (
    "patientid,offset,sex,age,finding,survival,intubated,pO2 saturation,view,modality,date,"
    "location,folder,filename,doi,url,license,clinical notes,other notes,"
)
JUN_2020 = (
    "patientid,offset,sex,age,finding,survival,intubated,intubation_present,went_icu,in_icu,"
    "pO2_saturation,view,modality,date,location,folder,filename,doi,url,license,clinical_notes,"
    "other_notes,"
)
CURRENT = (
    "patientid,offset,sex,age,finding,RT_PCR_positive,survival,intubated,intubation_present,"
    "went_icu,in_icu,needed_supplemental_O2,extubated,temperature,pO2_saturation,leukocyte_count,"
    "neutrophil_count,lymphocyte_count,view,modality,date,location,folder,filename,doi,url,"
    "license,clinical_notes,other_notes,"
)
COVID = "Pneumonia/Viral/COVID-19"
ORDINARY = {"view": "PA", "modality": "X-ray", "folder": "images"}


def make(folder, rows, header=CURRENT, encoding="utf-8"):
    """The source with these rows, given by lower-case column name, and their files unless lost."""
    names = header.split(",")
    images = folder / "images"
    images.mkdir(parents=True)
    with (folder / "metadata.csv").open("w", encoding=encoding, newline="") as file:
        table = csv.writer(file)
        table.writerow(names)
        for row in rows:
            row = ORDINARY | row
            table.writerow([row.get(name.strip().lower(), "") for name in names])
            name = row.get("filename", "").strip()
            if name and not row.get("lost"):
                (images / name).write_bytes(b"")
    return folder


def row(patient, filename, finding=COVID, **other):
    return {"patientid": patient, "filename": filename, "finding": finding, **other}


def read(folder, rows, **options):
    """What the source gives for these rows; each of them comes back exactly once."""
    records, dropped = covid_chestxray.read(make(folder / "covid", rows, **options))
    numbers = [item.row for item in (*records, *dropped)]
    assert sorted(numbers) == list(range(1, len(rows) + 1))
    return records, dropped


FINDINGS = {  # flat, to June 2020; paths, since then; case and spaces say nothing
    "COVID-19": "COVID-19; COVID-19, ARDS; Pneumonia/Viral/COVID-19; pneumonia/viral/covid-19 ;"
    " Pneumonia/Viral/Covid19; COVID 19; covid_19; SARS-CoV-2; 2019-nCoV; COVID; COVID\u201119",
    "pneumonia": "ARDS; SARS; Streptococcus; Pneumocystis; Klebsiella; Legionella; E.Coli;"
    " Chlamydophila; Influenza; Varicella; Lipoid; Bacterial; Pneumonia; Pneumonia/Viral/SARS;"
    " Mycoplasma Bacterial Pneumonia; Pneumonia/Viral/MERS-CoV; Pneumonia/Viral/Influenza/H1N1;"
    " Pneumonia/Viral/Herpes ; Pneumonia/Bacterial/Streptococcus; Pneumonia/Aspiration;"
    " SARS-CoV; E. coli; Pneumonia/Bacterial/Staphylococcus/MRSA;"
    " Pneumonia/Fungal/Pneumocystis; Pneumonia/Lipoid",
    "normal": "No Finding; no finding; no_finding; No findings; Normal",
    # No name is taken for a part of another.
    None: "Tuberculosis; Unknown; todo; ; No Finding, Tuberculosis; Not COVID-19",
}


@pytest.mark.parametrize(
    ("finding", "label"),
    [(finding, label) for label, text in FINDINGS.items() for finding in text.split("; ")],
)
def test_label_of_a_finding(finding, label):
    assert label_of(finding) == label


# Generation -> its header, and rows as that generation wrote them with what becomes of each: the
# label, view, sex and age of a record, or the reason why there is none.
CT = "CT, not a radiograph"
GENERATIONS = {
    "Mar 2020, Latin-1, no modality": (MAR_2020, "latin-1", {
        '2,0,M,65,COVID-19,Y,PA,"January 22, 2020","Hanoi, Vietnam",a.jpeg,10.1,u,l,"A, ""b"""':
            ("COVID-19", "PA", "M", "65"),
        "5,,F,54,ARDS,,AP Supine,,Zürich,é.png,,u,,": ("pneumonia", "AP Supine", "F", "54"),
        "8,5,,,SARS,,AP,2004,,b.jpeg,,u,,": ("pneumonia", "AP", "", ""),
        "19,4,F,,COVID-19,,CT,,,c.jpg,,u,,": CT,
        "19,9,F,,COVID-19,,Axial,,,d.jpg,,u,,": CT,
        "29,0,M,,Streptococcus,,PA,,,e.jpg ,,u,,": ("pneumonia", "PA", "M", ""),
        "31,0,M,,No Finding,,L,,,f.jpg,,u,,": ("normal", "L", "M", ""),
    }),
    "Apr 2020, an empty last column": (APR_2020, "utf-8", {
        '19,4,F,,"COVID-19, ARDS",Y,AP supine,X-ray,2020,"Turin, Italy",a.jpg,,u,l,notes,,':
            ("COVID-19", "AP Supine", "F", ""),
        "19,4,F,,COVID-19,,Axial,CT,2020,,b.jpg,,u,,,,": CT,
        "36,,M,70,Pneumocystis,,Coronal,X-ray,,,c.jpg,,u,,,,": CT,
        "101,,M,,Chlamydophila,,l,X-ray,,,d.PNG,,u,,,,": ("pneumonia", "L", "M", ""),
        "110,,M,71,E.Coli,,pa,X-ray,,,e.jpg,,u,,,,": ("pneumonia", "PA", "M", "71"),
        "111,,M,,SARS,,PA,CT,,,f.jpg,,u,,,,": CT,
    }),
    "May 2020, folder": (MAY_2020, "utf-8", {
        "311a,3,M,,COVID-19,,N,,AP,X-ray,2020,,images,a.png,,u,,,,": ("COVID-19", "AP", "M", ""),
        "311a,3,M,,COVID-19,,N,,Axial,CT,2020,,volumes,b.nii.gz,,u,,,,":
            "a volume, not a radiograph",
        "325,,F,49,Mycoplasma Bacterial Pneumonia,,,,PA,X-ray,,,images,c.jpg,,u,,,,":
            ("pneumonia", "PA", "F", "49"),
        "326,,F,49,Legionella,,Y,88,PA,X-ray,,,images,gone.jpg,,u,,,,": "no file images/gone.jpg",
    }),
    "Jun 2020, underscores": (JUN_2020, "utf-8", {
        "313b,3,M,,COVID-19,,N,N,,,,AP Erect,X-ray,2020,,images,a.png,,u,,,,":
            ("COVID-19", "AP Erect", "M", ""),
        "350,,F,36,Varicella,,,,,,,PA,X-ray,,,images,b.jpg,,u,,,,": ("pneumonia", "PA", "F", "36"),
        "351,,F,,Tuberculosis,,,,,,,PA,X-ray,,,images,c.jpg,,u,,,,":
            "finding 'Tuberculosis' is not normal, pneumonia or COVID-19",
    }),
    "current, paths": (CURRENT, "utf-8", {
        "2,0,M,65,Pneumonia/Viral/COVID-19,Y,Y,N,N,N,N,Y,,,,,,,PA,X-ray,,,images,a.jpg,,u,,,,":
            ("COVID-19", "PA", "M", "65"),
        "5,,F,4,Pneumonia/Viral/MERS-CoV,,,,,,,,,,,,,,AP,X-ray,,,images,b.jpg,,u,,,,":
            ("pneumonia", "AP", "F", "4"),
        "6,,F,4,Pneumonia/Viral/Herpes ,,,,,,,,,,,,,,AP,X-ray,,,images,c.jpg,,u,,,,":
            ("pneumonia", "AP", "F", "4"),
        "7,,F,4,todo,Unclear,,,,,,,,,,,,,AP,X-ray,,,images,d.jpg,,u,,,,":
            "finding 'todo' is not normal, pneumonia or COVID-19",
        "8,,F,4,No Finding,Unclear,,,,,,,,,,,,,PA,X-ray,,,images,e.jpg,,u,,,,":
            ("normal", "PA", "F", "4"),
        "9,,F,4,,,,,,,,,,,,,,,PA,X-ray,,,images,f.jpg,,u,,,,":
            "finding '' is not normal, pneumonia or COVID-19",
        "9,,F,4,SARS,,,,,,,,,,,,,,PA,X-ray,,,images,,,u,,,,": "no file name",
    }),
}  # fmt: skip


@pytest.mark.parametrize("generation", GENERATIONS)
def test_every_generation_gives_its_records_and_reasons(tmp_path, generation):
    header, encoding, rows = GENERATIONS[generation]
    (tmp_path / "images").mkdir()
    for name in ("a", "b", "c", "d", "e", "f", "é"):
        for suffix in ("jpg", "jpeg", "png", "PNG"):
            (tmp_path / "images" / f"{name}.{suffix}").write_bytes(b"")
    (tmp_path / "metadata.csv").write_bytes("\r\n".join([header, *rows]).encode(encoding))
    records, dropped = covid_chestxray.read(tmp_path)
    found = {r.row: (r.label, r.view, r.sex, r.age) for r in records}
    found |= {item.row: item.reason for item in dropped}
    assert [found[row] for row in sorted(found)] == list(rows.values())
    patients = [line.split(",")[0] for line in rows]
    for record in records:
        assert record.patient_id == f"covid-chestxray:{patients[record.row - 1]}"
        assert record.path == tmp_path / record.original
    assert {item.source for item in dropped} <= {"covid-chestxray"}


def test_columns_are_found_by_name_whatever_their_order(tmp_path):
    backwards = ",".join(reversed(CURRENT.split(",")))
    (record,), _ = read(tmp_path, [row("7", "a.png", sex="F")], header=backwards)
    assert (record.patient_id, record.label, record.sex) == ("covid-chestxray:7", "COVID-19", "F")


def test_a_file_of_two_rows_is_used_once(tmp_path):
    rows = [row("1", "a.jpg"), row("2", "b.jpg"), row("1", "a.jpg")]
    records, (left_out,) = read(tmp_path, rows)
    assert [record.original for record in records] == ["images/a.jpg", "images/b.jpg"]
    assert (left_out.row, left_out.reason) == (3, "the same file as row 1")


def test_a_duplicate_of_an_unusable_row_is_used_itself(tmp_path):
    records, (left_out,) = read(tmp_path, [row("1", "a.jpg", view="CT"), row("1", "a.jpg")])
    assert [record.row for record in records] == [2]
    assert left_out.reason == "CT, not a radiograph"


@pytest.mark.parametrize("other", ["No Finding", "Tuberculosis"])
def test_a_file_whose_rows_disagree_is_not_used(tmp_path, other):
    rows = [row("1", "a.jpg"), row("1", "a.jpg", other), row("1", "b.jpg")]
    records, dropped = read(tmp_path, rows)
    assert [record.original for record in records] == ["images/b.jpg"]
    assert dropped[0].reason == "rows disagree on this file's finding"


def test_patient_ids_that_share_a_file_are_one_patient(tmp_path):
    pairs = [("285", "285-only"), ("285", "shared"), ("339", "shared"), ("339", "shared-too")]
    pairs += [("400", "shared-too"), ("400", "400-only"), ("401", "401-only")]
    rows = [row(patient, f"{name}.jpg") for patient, name in pairs]
    records, _ = read(tmp_path, rows)
    patients = {record.original.removeprefix("images/"): record.patient_id for record in records}
    assert len({patients[f"{name}.jpg"] for name in ("285-only", "shared", "400-only")}) == 1
    assert patients["401-only.jpg"] == "covid-chestxray:401"
    assert len(set(patients.values())) == 2


def test_patient_ids_are_text_and_those_of_one_number_are_one_patient(tmp_path, caplog):
    ids = ("311a", "0311", "311", "311.0")
    records, _ = read(tmp_path, [row(patient, f"{patient}.jpg") for patient in ids])
    patients = [record.patient_id.removeprefix("covid-chestxray:") for record in records]
    assert patients == ["311a", "0311", "0311", "0311"]
    assert "metadata.csv: patient ids that are one number" in caplog.text


def test_a_finding_that_is_not_known_is_named_once_with_its_images(tmp_path, caplog):
    findings = [*2 * ["Pneumonia/Viral/Corona"], "Pneumonia/Mould", "Pneumonia/Viral/Sars", "ARDS"]
    records, _ = read(tmp_path, [row("1", f"{k}.jpg", name) for k, name in enumerate(findings)])
    assert {record.label for record in records} == {"pneumonia"}
    assert [record.message for record in caplog.records] == [
        "covid-chestxray: finding 'Pneumonia/Viral/Corona' of 2 images is not known and counts as"
        " pneumonia",
        "covid-chestxray: finding 'Pneumonia/Mould' of 1 image is not known and counts as"
        " pneumonia",
    ]


def test_rows_without_a_patient_are_patients_of_their_own(tmp_path):
    records, _ = read(tmp_path, [row("", "a.jpg"), row("", "b.jpg")])
    assert len({record.patient_id for record in records}) == 2


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (".", "file name '.' leads out of images/"),
        ("..", "no file images/.."),
        ("a" * 300 + ".png", f"no file images/{'a' * 300}.png"),
    ],
)
def test_a_name_that_no_file_can_have_is_left_out(tmp_path, name, reason):
    records, (left_out,) = read(tmp_path, [row("1", name, lost=True)])
    assert not records
    assert left_out.reason == reason


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_utf_8_and_latin_1_are_both_read(tmp_path, encoding):
    (record,), _ = read(tmp_path, [row("Müller", "Zürich.png")], encoding=encoding)
    assert record.patient_id == "covid-chestxray:Müller"
    assert record.path.name == "Zürich.png"


def test_a_row_of_nothing_but_commas_comes_back_and_an_empty_line_is_no_row(tmp_path):
    folder = make(
        tmp_path / "covid", [row("1", "a.jpg"), {"view": "", "modality": "", "folder": ""}]
    )
    with (folder / "metadata.csv").open("a") as file:
        file.write("\n\n")
    (record,), (left_out,) = covid_chestxray.read(folder)
    assert (record.row, left_out.row) == (1, 2)
