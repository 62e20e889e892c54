"""Small copies of the public collections that --sample does not draw, traps included.

Tables have the columns of the real ones and made-up rows. The test of each source says what it
should make of its copy.
"""

from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from data.record import Dropped, Record
from data.sample.files import generator
from data.sample.phantom import draw_phantom

HANNOVER = """\
patient_id,image_id,sex,age,size,weight,admission_offset,icu_admission_offset,icu_release_offset,\
death_offset,modality,projection,crp_offset,crp_val,d-dimer_offset,d-dimer_val
0a1b2c3d,11aa22bb,m,,,,0,0.0,4.0,,CR,ap,0.0,5.0,,
0a1b2c3d,33cc44dd,m,,,,-12,-12.0,2.0,,DX,pa,0.0,-inf,,
23456789,55ee66ff,f,61,170.0,,-1,,,,CR,AP,,,,
9f8e7d6c,77aa88bb,w,,,,0,,,14.0,DX,pa,0.0,71.0,0.0,inf
9f8e7d6c,99cc00dd,w,,,,-3,,,11.0,CR,ap,,,,
23456789,55ee66ff,f,61,170.0,,-1,,,,CR,AP,,,,
"""

ACTUALMED = """\
patientid,offset,sex,age,finding,survival,temperature,pO2 saturation,view,modality,imagename,\
artifacts/distortion,notes
ANON7,,,,,,,,PA,X-ray,CR.1.2.840.11.png,,"Inconclusive, date taken (YYYYMMDD): 20200313"
ANON7,,,,COVID-19,,,,PA,X-ray,CR.1.2.840.12.png,,", date taken (YYYYMMDD): 20200318"
ANON70,,M,50,No finding,,,,AP,X-ray,DX.1.2.840.13.png,,\
"Negative (covid-19 viral infection is excluded), date taken (YYYYMMDD): 20200319"
ANON8,,,,COVID-19,,,,AP,X-ray,CR.1.2.840.14.png,,", date taken (YYYYMMDD): 20200320"
ANON8,,,,No finding,,,,PA,X-ray,CR.1.2.840.15.png,,\
"Negative (covid-19 viral infection is excluded), date taken (YYYYMMDD): 20200401"
ANON9,,,,COVID-19,,,,AP,X-ray,CR.1.2.840.16.png,,", date taken (YYYYMMDD): 20200403"
"""

FIGURE1 = """\
patientid,offset,sex,age,finding,survival,temperature,pO2 saturation,view,modality,\
artifacts/distortion,notes
COVID-00001,13,M,33,COVID-19,,,58,AP erect,X-ray,,"Saturation 58 %, later 89 %"
COVID-00002,,M,50+,,,,,AP erect,X-ray,,a contact
COVID-00003a,8,F,60,COVID-19,,39.1,,AP,X-ray,Some from monitor,"taken 1 day apart"
COVID-00003b,8,F,60,COVID-19,,,,AP,X-ray,,
COVID-00004,,,early 40s,No finding,,,,,X-ray,,labeled normal patient
COVID-00005,,,67+,Pneumonia,,,,,X-ray,,labeled pneumonia
COVID-00006,,,,COVID-19,,,,,X-ray,,
"""

COVID_CXNET = """\
filename,patient_id,sex,age,view,label,pcr_test,survival,location,admission_offset,symptom_offset,\
also_had_ct,has_fever,has_cough,has_dyspnea,has_diarrhea,spo2,other_symptoms,medical_background,\
opacification,other,is_bilateral,url
280-.jpg,18,male,67,PA,COVID-19,positive,,Spain,1,,,1,1,,,,,,,,,https://example.org/18
281.jfif,18,male,67,,COVID-19,positive,,Spain,7,,,1,1,,,,,,,,,https://example.org/18
374.webp,60,,,,COVID-19,,,US,,,1,,,,,,,,1,,0,https://example.org/60
444.png,118,female,38,AP,COVID-19,negative,,Italy,,11,1,1,1,1,,,"sore throat, chills",,1,,1,
455p.jpg,127,male,1.5,AP,COVID-19,,1,Italy,,,0,1,1,1,,94,,,1,,1,https://example.org/127
756.jpg,213,male,28,AP,,negative,,Austria,,,0,1,1,2,,72,headache,,1,,1,https://example.org/213
757.jpg,214,male,28,AP,COVID-19,positive,,UK,,,0,1,1,2,,72,,,1,,1,https://example.org/214
"""

NIH = """\
Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,\
OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],
00000007_000.png,No Finding,0,7,82,M,PA,2500,2048,0.168,0.168,
00000007_001.png,Infiltration|Pneumonia,1,7,414,M,AP,3056,2544,0.139,0.139,
00000009_000.png,Pneumonia,0,9,011M,F,AP,3056,2544,0.139,0.139,
00000009_001.png,Pneumothorax|Pleural_Thickening,1,9,2,F,AP,3056,2544,0.139,0.139,
00000010_000.png,Consolidation,0,10,52,F,PA,2500,2048,0.168,0.168,
00000010_001.png,No Finding,1,10,53,F,PA,2500,2048,0.168,0.168,
00000011_000.png,No Finding,0,11,148,F,AP,2500,2048,0.168,0.168,
"""

TABLES = {
    "hannover": ("data.csv", HANNOVER),
    "actualmed": ("metadata.csv", ACTUALMED),
    "figure1": ("metadata.csv", FIGURE1),
    "covid-cxnet": ("metadata.csv", "\ufeff" + COVID_CXNET),
    "nih": ("Data_Entry_2017.csv", NIH),
}


def _in(folder: str, *names: str) -> list[str]:
    return [f"{folder}/{name}" for name in names]


IMAGES = {
    "hannover": _in("png", "11aa22bb.png", "33cc44dd.png", "55ee66ff.png", "77aa88bb.png"),
    "actualmed": _in(
        "images", "CR.1.2.840.11.png", "CR.1.2.840.12.png", "DX.1.2.840.13.png",
        "CR.1.2.840.14.png", "CR.1.2.840.15.png",
    ),
    "figure1": _in(
        "images", "COVID-00001.jpg", "COVID-00002.jpg", "COVID-00003a.jpg", "COVID-00003b.png",
        "COVID-00004.jpg", "COVID-00005.jpg",
    ),
    "covid-cxnet": _in(
        "chest_xray_images/covid19", "001.jpeg", "280-.jpg", "281.jfif", "374.webp", "444.png",
        "455p.jpg", "510.png", "756.jpg",
    ),
    "nih": [
        *_in("images_001/images", "00000007_000.png", "00000007_001.png", "00000009_000.png"),
        *_in("images_002/images", "00000009_001.png", "00000010_000.png", "00000010_001.png"),
    ],
    "kermany": [
        *_in("train/NORMAL", "IM-0115-0001.jpeg", "IM-0115-0002.jpeg", "NORMAL2-IM-0381-0001.jpeg"),
        *_in("train/PNEUMONIA", "person1_bacteria_1.jpeg", "person2_virus_3.jpeg", "scan.jpeg"),
        *_in("test/NORMAL", "NORMAL-1049278-0001.jpeg"),
        *_in("test/PNEUMONIA", "BACTERIA-1049278-0002.jpeg", "person1_virus_6.jpeg"),
        *_in("val/NORMAL", "NORMAL2-IM-1427-0001.jpeg"),
        *_in("val/PNEUMONIA", "person1946_bacteria_4874.jpeg"),
    ],
    "radiography-database": [
        *_in("COVID/images", "COVID-1.png", "COVID-1893.png", "COVID-1894.png", "COVID-3616.png"),
        *_in("Normal/images", "Normal-1.png", "Normal-1403.png", "Normal-1404.png"),
        *_in("Normal/images", "Normal-62.png", "Normal-63.png"),
        *_in("Lung_Opacity/images", "Lung_Opacity-1.png", "Lung_Opacity-copy.png"),
        *_in("Viral Pneumonia/images", "Viral Pneumonia-1.png", "Viral Pneumonia-1345.png"),
    ],
}  # fmt: skip
OTHERS = {  # files that are not read
    "kermany": ["val/NORMAL/.DS_Store", "chest_xray/train/NORMAL/IM-0115-0001.jpeg"],
    "radiography-database": [
        "README.md.txt", "Normal.metadata.xlsx", "Normal/masks/Normal-1.png",
        "COVID/masks/COVID-1.png",
    ],
}  # fmt: skip


def write(folder: Path, name: str, size: int = 0) -> Path:
    """The copy of the source `name`. Its images are phantoms of `size` pixels, or empty files."""
    for place in (*IMAGES[name], *OTHERS.get(name, [])):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(b"")
    if name in TABLES:
        table, text = TABLES[name]
        (folder / table).write_text(text, encoding="utf-8")
    for k, place in enumerate(IMAGES[name] if size else ()):
        image = Image.fromarray(draw_phantom("normal", generator(1, name, place), size))
        kind = {".png": "PNG", ".webp": "WEBP"}.get(Path(place).suffix, "JPEG")
        mode = {"actualmed": "RGB", "nih": "L" if k else "RGBA"}.get(name, "L")
        image.convert(mode).save(folder / place, kind)
    return folder


def facts(records: Iterable[Record], dropped: Iterable[Dropped]) -> list:
    """Of each row its label, patient, view, sex and age, or why it gives no image."""
    found = {r.row: (r.label, r.patient_id, r.view, r.sex, r.age) for r in records}
    found |= {item.row: item.reason for item in dropped}
    return [found[row] for row in sorted(found)]
