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
    "COVID-19": "COVID-19; COVID-19, ARDS; Pneumonia/Viral/COVID-19; pneumonia/viral/covid-19 ",
    "pneumonia": "ARDS; SARS; Streptococcus; Pneumocystis; Klebsiella; Legionella; E.Coli;"
    " Chlamydophila; Influenza; Varicella; Lipoid; Bacterial; Pneumonia; Pneumonia/Viral/SARS;"
    " Mycoplasma Bacterial Pneumonia; Pneumonia/Viral/MERS-CoV; Pneumonia/Viral/Influenza/H1N1;"
    " Pneumonia/Viral/Herpes ; Pneumonia/Bacterial/Streptococcus; Pneumonia/Aspiration;"
    " Pneumonia/Bacterial/Staphylococcus/MRSA; Pneumonia/Fungal/Pneumocystis; Pneumonia/Lipoid",
    "normal": "No Finding; no finding",
    # No name is taken for a part of another.
    None: "Tuberculosis; Unknown; todo; ; No Finding, Tuberculosis; Not COVID-19",
}


@pytest.mark.parametrize(
    ("finding", "label"),
    [(finding, label) for label, text in FINDINGS.items() for finding in text.split("; ")],
)
def test_label_of_a_finding(finding, label):
    assert label_of(finding) == label


# Generation -> its header, rows as that generation wrote them, and what becomes of each: the label
# and the view of a record, or the reason why there is none.
GENERATIONS = {
    "Mar 2020, Latin-1, no modality": (
        MAR_2020,
        "latin-1",
        [
            '2,0,M,65,COVID-19,Y,PA,"January 22, 2020","Hanoi, Vietnam",a.jpeg,10.1,u,l,"A, ""b"""',
            "5,,F,54,ARDS,,AP Supine,,Zürich,é.png,,u,,",
            "8,5,,,SARS,,AP,2004,,b.jpeg,,u,,",
            "19,4,F,,COVID-19,,CT,,,c.jpg,,u,,",
            "19,9,F,,COVID-19,,Axial,,,d.jpg,,u,,",
            "29,0,M,,Streptococcus,,PA,,,e.jpg ,,u,,",
            "31,0,M,,No Finding,,L,,,f.jpg,,u,,",
        ],
        [
            ("COVID-19", "PA"),
            ("pneumonia", "AP Supine"),
            ("pneumonia", "AP"),
            "CT, not a radiograph",
            "CT, not a radiograph",
            ("pneumonia", "PA"),
            ("normal", "L"),
        ],
    ),
    "Apr 2020, an empty last column": (
        APR_2020,
        "utf-8",
        [
            '19,4,F,,"COVID-19, ARDS",Y,AP supine,X-ray,2020,"Turin, Italy",a.jpg,,u,l,notes,,',
            "19,4,F,,COVID-19,,Axial,CT,2020,,b.jpg,,u,,,,",
            "36,,M,70,Pneumocystis,,Coronal,X-ray,,,c.jpg,,u,,,,",
            "101,,M,,Chlamydophila,,L,X-ray,,,d.PNG,,u,,,,",
            "110,,M,,E.Coli,,PA,X-ray,,,e.jpg,,u,,,,",
        ],
        [
            ("COVID-19", "AP Supine"),
            "CT, not a radiograph",
            "CT, not a radiograph",
            ("pneumonia", "L"),
            ("pneumonia", "PA"),
        ],
    ),
    "May 2020, folder": (
        MAY_2020,
        "utf-8",
        [
            "311a,3,M,,COVID-19,,N,,AP,X-ray,2020,,images,a.png,,u,,,,",
            "311a,3,M,,COVID-19,,N,,Axial,CT,2020,,volumes,b.nii.gz,,u,,,,",
            "325,,F,49,Mycoplasma Bacterial Pneumonia,,,,PA,X-ray,,,images,c.jpg,,u,,,,",
            "326,,F,49,Legionella,,Y,88,PA,X-ray,,,images,gone.jpg,,u,,,,",
        ],
        [
            ("COVID-19", "AP"),
            "a volume, not a radiograph",
            ("pneumonia", "PA"),
            "no file images/gone.jpg",
        ],
    ),
    "Jun 2020, underscores": (
        JUN_2020,
        "utf-8",
        [
            "313b,3,M,,COVID-19,,N,N,,,,AP Erect,X-ray,2020,,images,a.png,,u,,,,",
            "350,,F,,Varicella,,,,,,,PA,X-ray,,,images,b.jpg,,u,,,,",
            "351,,F,,Tuberculosis,,,,,,,PA,X-ray,,,images,c.jpg,,u,,,,",
        ],
        [
            ("COVID-19", "AP Erect"),
            ("pneumonia", "PA"),
            "finding 'Tuberculosis' is not normal, pneumonia or COVID-19",
        ],
    ),
    "current, paths": (
        CURRENT,
        "utf-8",
        [
            "2,0,M,65,Pneumonia/Viral/COVID-19,Y,Y,N,N,N,N,Y,,,,,,,PA,X-ray,,,images,a.jpg,,u,,,,",
            "5,,F,4,Pneumonia/Viral/MERS-CoV,,,,,,,,,,,,,,AP,X-ray,,,images,b.jpg,,u,,,,",
            "6,,F,4,Pneumonia/Viral/Herpes ,,,,,,,,,,,,,,AP,X-ray,,,images,c.jpg,,u,,,,",
            "7,,F,4,todo,Unclear,,,,,,,,,,,,,AP,X-ray,,,images,d.jpg,,u,,,,",
            "8,,F,4,No Finding,Unclear,,,,,,,,,,,,,PA,X-ray,,,images,e.jpg,,u,,,,",
        ],
        [
            ("COVID-19", "PA"),
            ("pneumonia", "AP"),
            ("pneumonia", "AP"),
            "finding 'todo' is not normal, pneumonia or COVID-19",
            ("normal", "PA"),
        ],
    ),
}


@pytest.mark.parametrize("generation", GENERATIONS)
def test_every_generation_gives_its_records_and_reasons(tmp_path, generation):
    header, encoding, lines, expected = GENERATIONS[generation]
    (tmp_path / "images").mkdir()
    for name in ("a", "b", "c", "d", "e", "f", "é"):
        for suffix in ("jpg", "jpeg", "png", "PNG"):
            (tmp_path / "images" / f"{name}.{suffix}").write_bytes(b"")
    (tmp_path / "metadata.csv").write_bytes("\r\n".join([header, *lines]).encode(encoding))
    records, dropped = covid_chestxray.read(tmp_path)
    found = {record.row: (record.label, record.view) for record in records}
    found |= {item.row: item.reason for item in dropped}
    assert [found[row] for row in sorted(found)] == expected
    ids = {record.patient_id for record in records}
    assert ids <= {f"covid-chestxray:{line.split(',')[0]}" for line in lines}


@pytest.mark.parametrize("header", [MAR_2020, APR_2020, MAY_2020, JUN_2020, CURRENT])
def test_every_generation_of_the_header_is_read(tmp_path, header):
    rows = [
        row("1", "a.jpg", "COVID-19", sex="M", age="65", view="pa"),
        row("2", "b.jpg", "No Finding", sex="F", view="AP Supine"),
    ]
    (first, second), dropped = read(tmp_path, rows, header=header)
    assert not dropped
    assert (first.label, first.patient_id, first.view, first.sex, first.age) == (
        "COVID-19", "covid-chestxray:1", "PA", "M", "65",
    )  # fmt: skip
    assert (second.label, second.view, second.sex, second.age) == ("normal", "AP Supine", "F", "")
    assert first.path == tmp_path / "covid" / "images" / "a.jpg"
    assert first.original == "images/a.jpg"


def test_columns_are_found_by_name_whatever_their_order(tmp_path):
    backwards = ",".join(reversed(CURRENT.split(",")))
    (record,), _ = read(tmp_path, [row("7", "a.png", sex="F")], header=backwards)
    assert (record.patient_id, record.label, record.sex) == ("covid-chestxray:7", "COVID-19", "F")


@pytest.mark.parametrize(
    ("header", "other", "reason"),
    [
        (APR_2020, {"view": "PA", "modality": "CT"}, "CT, not a radiograph"),
        (CURRENT, {"view": "Axial", "modality": "X-ray"}, "CT, not a radiograph"),
        (CURRENT, {"filename": ""}, "no file name"),
        (CURRENT, {"finding": ""}, "finding '' is not normal, pneumonia or COVID-19"),
    ],
)
def test_what_is_no_usable_radiograph_is_left_out_with_its_reason(tmp_path, header, other, reason):
    records, (left_out,) = read(tmp_path, [row("1", "a.jpg") | other], header=header)
    assert not records
    assert (left_out.source, left_out.row, left_out.reason) == ("covid-chestxray", 1, reason)


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
    rows = [
        row("285", "285-only.jpg"),
        row("285", "shared.jpg"),
        row("339", "shared.jpg"),
        row("339", "shared-too.jpg"),
        row("400", "shared-too.jpg"),
        row("400", "400-only.jpg"),
        row("401", "401-only.jpg"),
    ]
    records, _ = read(tmp_path, rows)
    patients = {record.original.removeprefix("images/"): record.patient_id for record in records}
    assert len({patients[f"{name}.jpg"] for name in ("285-only", "shared", "400-only")}) == 1
    assert patients["401-only.jpg"] == "covid-chestxray:401"
    assert len(set(patients.values())) == 2


def test_patient_ids_are_text(tmp_path):
    records, _ = read(tmp_path, [row("311a", "a.jpg"), row("311", "b.jpg"), row("0311", "c.jpg")])
    assert [record.patient_id for record in records] == [
        "covid-chestxray:311a", "covid-chestxray:311", "covid-chestxray:0311",
    ]  # fmt: skip


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
