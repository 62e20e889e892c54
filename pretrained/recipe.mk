# make pretrained RAW=FOLDER: the network of this folder again, from raw films to file and card. It
# goes on where it was stopped, and makes nothing that is newer than what it is made of, but the card.
# SIZE=224 is for a GPU; the films are stored at 224 pixels, and a larger network sees no more of them.
SIZE ?= 96
RAW ?= raw
COVID_CHESTXRAY ?= $(RAW)/covid-chestxray-dataset
RSNA ?= $(RAW)/rsna-pneumonia-detection-challenge
# Tables for generate_dataset.py --table and evaluate.py --table, which are not in the project: 5,888
# films of Valencia, COVID-CXNet, Radiopaedia, Brescia and NIH, and 843 of Hannover and Guangzhou.
POOL ?= $(RAW)/pool/pool.csv
EXTERNAL ?= $(RAW)/pool-external/pool-external.csv
SETTINGS ?= --random-seed 1 --backbone-weights none --sampling tempered_source --appearance 1 \
	--optimizer muon --choose within_source_auroc
RECIPE ?= $(SETTINGS) --width $(SIZE) --height $(SIZE) --size-warmup-epochs 10 --epochs 14 \
	--lr 3e-3 --batch-size 32 --test-time-augmentation
# Sources that a network of these settings does not see, and is tested on: a smaller network, as
# those of RECIPE would take twice as long as the one that is kept.
LEFT_OUT ?= valencia covid-cxnet
SMALLER ?= $(SETTINGS) --width 64 --height 64 --epochs 8 --lr 4e-3 --batch-size 64
# Prediction sets, and thresholds that few healthy people pass.
DOUBT := --coverage 0.9 --specificity 0.99
TERMS := Research only, CC BY-NC-SA 4.0 and the terms of pretrained/LICENSE.

FILMS := dataset/pretrained
NAME := pretrained$(if $(filter-out 96,$(SIZE)),-$(SIZE))
TRAINED := experiments/$(NAME)
NETWORK := $(TRAINED)/best-int8.onnx
INSIDE := $(TRAINED)/evaluation-test
OUTSIDE := $(TRAINED)/evaluation-external
UNSEEN := experiments/pretrained-sources-left-out.csv

pretrained: $(INSIDE)/metrics.json $(OUTSIDE)/metrics.json $(UNSEEN)
	$(PY) release.py $(NETWORK) --evaluations $(INSIDE) $(OUTSIDE) $(foreach source,$(LEFT_OUT), \
		experiments/pretrained-without-$(source)/evaluation-left-out-$(source))

$(FILMS)/dataset.json: | .venv/installed
	$(PY) generate_dataset.py $(FILMS) --covid-chestxray $(COVID_CHESTXRAY) --rsna $(RSNA) \
		--table $(POOL) --size 224

$(TRAINED).ended: $(FILMS)/dataset.json
	$(PY) train.py --name $(NAME) --dataset $(FILMS) --resume $(RECIPE)
	touch $@

$(NETWORK): $(TRAINED).ended
	$(PY) export.py $(TRAINED) --precision int8 --licence "$(TERMS)"

$(INSIDE)/metrics.json: $(NETWORK)
	$(PY) evaluate.py $(NETWORK) $(DOUBT)

$(OUTSIDE)/metrics.json: $(NETWORK)
	$(PY) evaluate.py $(NETWORK) --table $(EXTERNAL) --out $(OUTSIDE) $(DOUBT)

$(UNSEEN): $(FILMS)/dataset.json
	$(PY) leave_sources_out.py --name pretrained --dataset $(FILMS) --leave-out $(LEFT_OUT) \
		$(SMALLER)
