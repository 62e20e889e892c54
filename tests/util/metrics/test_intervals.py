import numpy as np
import pytest
from scipy import stats
from scipy.stats import binomtest
from scipy.stats import t as student

from tests.helpers.world import SAMPLES
from util.metrics import intervals
from util.metrics.intervals import (
    bootstrap,
    bootstrap_interval,
    clustered_wilson,
    effective_size,
    few_clusters,
    leaning_interval,
    mean_interval,
    percentile_interval,
    wilson_interval,
)


def trials(hits: int, n: int) -> np.ndarray:
    return np.arange(n) < hits


@pytest.mark.parametrize("n", [1, 2, 10, 37, 210])
def test_independent_images_get_the_wilson_interval_of_scipy(n):
    for hits in range(n + 1):
        expected = tuple(binomtest(hits, n).proportion_ci(method="wilson"))
        assert wilson_interval(hits / n, n) == pytest.approx(expected, abs=1e-9)
        assert clustered_wilson(trials(hits, n), np.arange(n)) == pytest.approx(expected, abs=1e-9)


def test_nothing_is_known_without_trials():
    assert clustered_wilson(np.zeros(0, bool), np.zeros(0, int)) == (0.0, 1.0)


def test_rounding_takes_no_end_of_an_interval_beyond_0_or_1():
    for n in range(400):
        assert (wilson_interval(0.0, n)[0], wilson_interval(1.0, n)[1]) == (0, 1)


def test_patients_that_agree_within_themselves_widen_the_interval():
    hits = np.repeat(trials(40, 50), 4)
    patients = np.repeat(np.arange(50), 4)
    low, high = clustered_wilson(hits, patients)
    plain_low, plain_high = wilson_interval(0.8, 200)
    assert low < plain_low
    assert high > plain_high
    # Four copies of an image are worth one, and the t quantile of 49 takes a little more.
    assert 47 < effective_size(hits, patients) < 50


def test_effective_size_is_never_above_the_number_of_images():
    # Half right within each patient: less variance between patients than chance would give.
    assert effective_size(np.tile([True, False], 20), np.repeat(np.arange(20), 2)) == 40


@pytest.mark.parametrize("hits", [0, 12])
def test_without_variance_the_patients_are_counted_not_the_images(hits):
    patients = np.repeat(np.arange(4), 3)
    assert effective_size(trials(hits, 12), patients) == 4
    low, high = clustered_wilson(trials(hits, 12), patients)
    assert (low, high) == wilson_interval(hits / 12, 4)


def test_under_four_patients_the_patients_are_counted():
    assert effective_size(trials(7, 30), np.arange(30) % 3) == 3


def test_effective_size_is_that_of_the_jackknife_over_patients():
    """Leave out each of four patients of 1, 2, 3 and 4 images, in plain Python."""
    hits = np.array([True, True, False, False, False, True, True, True, True, False])
    patients = np.repeat(np.arange(4), [1, 2, 3, 4])
    without = [hits[patients != patient].mean() for patient in range(4)]
    variance = 3 / 4 * sum((rate - hits.mean()) ** 2 for rate in without)
    assert variance == pytest.approx(0.01925, abs=1e-5)
    few = (student.ppf(0.975, 3) / student.ppf(0.975, 9)) ** 2
    expected = 10 / (variance / (0.6 * 0.4 / 9) * few)
    assert effective_size(hits, patients) == pytest.approx(expected)


def test_the_bootstrap_draws_whole_patients():
    patients = np.array(["b", "a", "b", "c", "c", "c"])
    weights = bootstrap(lambda weights: weights, patients, draws=200, seed=3)
    assert weights.shape == (200, 6)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 3] == weights[:, 5]).all()
    assert (weights[:, [0, 1, 3]].sum(1) == 3).all()


def test_the_bootstrap_is_fixed_by_its_seed_alone():
    patients = np.arange(40) // 2
    statistic = np.random.default_rng(0).random(40)

    def drawn(seed: int) -> np.ndarray:
        return bootstrap(lambda weights: weights @ statistic, patients, draws=50, seed=seed)

    assert (drawn(1) == drawn(1)).all()
    assert (drawn(1) != drawn(2)).any()


def test_the_bootstrap_holds_few_weights_at_a_time(monkeypatch):
    patients = np.arange(30)
    whole = bootstrap(lambda weights: weights, patients, draws=25)
    monkeypatch.setattr(intervals, "CHUNK", 100)  # three draws of thirty images
    sizes = []

    def statistic(weights: np.ndarray) -> np.ndarray:
        sizes.append(len(weights))
        return weights

    assert (bootstrap(statistic, patients, draws=25) == whole).all()
    assert sizes == [3] * 8 + [1]


def test_bootstrap_spread_of_a_mean_is_its_standard_error():
    values = np.random.default_rng(0).normal(size=400)
    means = bootstrap(lambda weights: weights @ values / 400, np.arange(400), draws=4000)
    assert means.std() == pytest.approx(values.std() / 20, rel=0.05)
    assert means.mean() == pytest.approx(values.mean(), abs=0.005)


def test_percentiles_hold_the_value_and_skip_undefined_draws():
    drawn = np.append(np.linspace(0, 1, 1001), [np.nan] * 50)
    assert percentile_interval(drawn, 0.5) == pytest.approx((0.025, 0.975))
    assert percentile_interval(drawn, 0.99) == pytest.approx((0.025, 0.99))
    assert percentile_interval(drawn, 0.01) == pytest.approx((0.01, 0.975))


def test_a_bootstrap_without_variance_does_not_claim_certainty():
    assert bootstrap_interval(np.ones(100), 1.0, 10) == wilson_interval(1.0, 10)
    assert bootstrap_interval(np.full(100, np.nan), 1.0, 10) == wilson_interval(1.0, 10)


def test_a_bootstrap_interval_is_wilsons_on_the_size_that_its_variance_implies():
    values = np.random.default_rng(0).random(200) < 0.9
    drawn = bootstrap(lambda weights: weights @ values / 200, np.arange(200), draws=20_000)
    expected = wilson_interval(values.mean(), 200 / few_clusters(200) ** 2)
    found = bootstrap_interval(drawn, values.mean(), 200)
    assert found == pytest.approx(expected, abs=2e-3)
    assert bootstrap_interval(np.append(drawn, [np.nan] * 9), values.mean(), 200) == found


def test_near_1_a_bootstrap_interval_is_as_wide_as_few_mistakes_make_it():
    """Of 0.98 with a spread that 100 trials would show, two of them mistakes."""
    drawn = 0.98 + (0.98 * 0.02 / 100) ** 0.5 * np.tile([-1, 1], 50)
    found = bootstrap_interval(drawn, 0.98, 1000, mistake=8)
    assert found == pytest.approx(wilson_interval(0.98, 100 / few_clusters(16) ** 2))
    assert found[0] < bootstrap_interval(drawn, 0.98, 1000)[0]
    assert bootstrap_interval(drawn, 0.98, 10, mistake=8)[0] < found[0]


def test_the_leaning_interval_holds_the_percentiles_and_scipys_bca():
    generator = np.random.default_rng(0)
    skewed = generator.exponential(size=60)
    found = stats.bootstrap(
        (skewed,), np.mean, n_resamples=5000, method="BCa", rng=np.random.default_rng(1)
    )
    drawn = found.bootstrap_distribution
    low, high = leaning_interval(drawn, skewed.mean())
    expected = found.confidence_interval
    assert high == pytest.approx(expected.high, abs=0.02)
    assert high > percentile_interval(drawn, skewed.mean())[1] + 0.02
    assert low == pytest.approx(percentile_interval(drawn, skewed.mean())[0])
    mirrored = leaning_interval(-drawn, -skewed.mean())
    assert mirrored == pytest.approx((-high, -low), abs=0.005)


def test_draws_that_do_not_differ_have_no_lean():
    assert leaning_interval(np.full(50, 0.3), 0.3) == (0.3, 0.3)
    assert leaning_interval(np.full(50, np.nan), 0.3) == (0.3, 0.3)


def test_a_variance_seen_between_few_patients_widens_as_students_t_does():
    """The interval of a mean of n values: their standard error is the bootstrap's spread times
    the root of n / (n - 1), and t stands in the place of z.
    """
    for n in (4, 10, 30, 1000):
        expected = (n / (n - 1)) ** 0.5 * student.ppf(0.975, n - 1) / 1.959964
        assert few_clusters(n) == pytest.approx(expected)
    assert few_clusters(0) == few_clusters(3) == few_clusters(4)


# Distances 0.3 and 0.4 down give 0.5 / 2; 0.1 and 0 up give 0.1 / 2.
def test_the_interval_of_a_mean_adds_the_squared_distances():
    pairs = np.array([[0.5, 0.9], [0.6, 1.0]])
    assert mean_interval(np.array([0.8, 1.0]), pairs) == pytest.approx((0.65, 0.95))


def beta_patients(generator, n_patients: int, rate: float, likeness: float):
    """Hits and patients where images of one patient are alike by the given correlation."""
    images = generator.integers(1, 6, n_patients)
    spread = (1 - likeness) / likeness
    rates = generator.beta(rate * spread, (1 - rate) * spread, n_patients)
    patients = np.repeat(np.arange(n_patients), images)
    return generator.random(len(patients)) < rates[patients], patients


def test_clustered_wilson_covers_the_truth_where_plain_wilson_does_not():
    generator = np.random.default_rng(0)
    clustered = plain = 0
    for _ in range(SAMPLES):
        hits, patients = beta_patients(generator, 40, rate=0.8, likeness=0.4)
        low, high = clustered_wilson(hits, patients)
        clustered += low <= 0.8 <= high
        low, high = wilson_interval(hits.mean(), len(hits))
        plain += low <= 0.8 <= high
    assert 930 <= clustered <= 970
    assert plain < 870


def test_bootstrap_over_patients_covers_the_truth():
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(SAMPLES):
        hits, patients = beta_patients(generator, 60, rate=0.6, likeness=0.4)

        def share(weights: np.ndarray, hits: np.ndarray = hits) -> np.ndarray:
            return weights @ hits / weights.sum(1)

        low, high = percentile_interval(bootstrap(share, patients, draws=300), hits.mean())
        covered += low <= 0.6 <= high
    assert 930 <= covered <= 970
