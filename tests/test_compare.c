/* test_compare.c - aopt_compare against values that can be worked out by hand, and against deliberate damage */
#define AUTOOPT_IMPLEMENTATION
#include "../autoopt.h"
#include "check.h"

enum { F = 3, H = 40, W = 70, FRAME = H * W, N = 3 * F * FRAME };
static float video[N], reference[N];

static int64_t at(int c, int f, int y, int x) { return ((int64_t)(c * F + f) * H + y) * W + x; }
static int near(double got, double want, double tolerance) { return fabs(got - want) <= tolerance; }

/* A smooth moving picture, the same on both sides. */
static void reset(void)
{
    int c, f, y, x;
    for (c = 0; c < 3; c++)
        for (f = 0; f < F; f++)
            for (y = 0; y < H; y++)
                for (x = 0; x < W; x++)
                    video[at(c, f, y, x)] = reference[at(c, f, y, x)] = 0.5f * (float)sin(0.1 * x + 0.07 * y + 0.5 * f + c);
}

static aopt_comparison compare(void)
{
    aopt_comparison r;
    aopt_error err;
    memset(&err, 0, sizeof err);
    CHECK(aopt_compare(video, reference, F, H, W, &r, &err) == AOPT_OK, "%s", err.message);
    return r;
}

static void test_equal(void)
{
    const double top = 10 * log10(4e12);
    aopt_comparison r;
    reset();
    r = compare();
    CHECK(r.mse == 0 && r.max_abs == 0 && r.mean_shift == 0, "mse %g, max_abs %g, mean_shift %g", r.mse, r.max_abs, r.mean_shift);
    CHECK(near(r.psnr_db, top, 1e-9) && near(r.psnr_frame_min_db, top, 1e-9) && near(r.psnr_tile_min_db, top, 1e-9) && near(r.psnr_motion_db, top, 1e-9),
          "%g %g %g %g, want %g", r.psnr_db, r.psnr_frame_min_db, r.psnr_tile_min_db, r.psnr_motion_db, top);
    CHECK(r.gradient_ratio == 1, "%g", r.gradient_ratio);
    CHECK(r.nonfinite == 0 && r.reference_nonfinite == 0, "%lld %lld", (long long)r.nonfinite, (long long)r.reference_nonfinite);
}

/* +0.25 everywhere is exact in binary: mse = 1/16, PSNR = 10 log10(64); nothing moves, no gradient changes. */
static void test_constant_shift(void)
{
    const double want = 10 * log10(64.0);
    aopt_comparison r;
    int i;
    for (i = 0; i < N; i++) { reference[i] = (float)(i % 8) / 16; video[i] = reference[i] + 0.25f; }
    r = compare();
    CHECK(r.mse == 0.0625 && near(r.psnr_db, want, 1e-12), "mse %g, %g dB, want %g", r.mse, r.psnr_db, want);
    CHECK(near(r.psnr_frame_min_db, want, 1e-12) && near(r.psnr_tile_min_db, want, 1e-12), "%g %g", r.psnr_frame_min_db, r.psnr_tile_min_db);
    CHECK(r.max_abs == 0.25 && near(r.mean_shift, 0.25, 1e-12), "%g %g", r.max_abs, r.mean_shift);
    CHECK(r.psnr_motion_db > 120 && near(r.gradient_ratio, 1, 1e-12), "%g %g", r.psnr_motion_db, r.gradient_ratio);
}

/* One wrong pixel: every figure follows from its size, every place is told. */
static void test_one_pixel(void)
{
    const int64_t i = at(2, 1, 37, 66);
    aopt_comparison r;
    reset();
    reference[i] = 0;
    video[i] = -0.5f;
    r = compare();
    CHECK(near(r.mse, 0.25 / N, 1e-15), "%g, want %g", r.mse, 0.25 / N);
    CHECK(near(r.psnr_frame_min_db, 10 * log10(4 / (0.25 / (3 * FRAME))), 1e-9) && r.frame_min == 1, "%g in frame %lld", r.psnr_frame_min_db, (long long)r.frame_min);
    /* the tile at the corner is 8 rows of 6 pixels */
    CHECK(near(r.psnr_tile_min_db, 10 * log10(4 / (0.25 / (3 * 8 * 6))), 1e-9), "%g", r.psnr_tile_min_db);
    CHECK(r.tile_min[0] == 1 && r.tile_min[1] == 32 && r.tile_min[2] == 64, "tile [%lld][%lld][%lld]", (long long)r.tile_min[0], (long long)r.tile_min[1], (long long)r.tile_min[2]);
    CHECK(r.max_abs == 0.5 && r.max_abs_at[0] == 2 && r.max_abs_at[1] == 1 && r.max_abs_at[2] == 37 && r.max_abs_at[3] == 66, "%g at [%lld][%lld][%lld][%lld]",
          r.max_abs, (long long)r.max_abs_at[0], (long long)r.max_abs_at[1], (long long)r.max_abs_at[2], (long long)r.max_abs_at[3]);
    CHECK(near(r.mean_shift, -0.5 / (F * FRAME), 1e-12) && r.mean_shift_channel == 2, "%g in channel %lld", r.mean_shift, (long long)r.mean_shift_channel);
    CHECK(near(r.psnr_motion_db, 10 * log10(4 / (2 * 0.25 / (3 * (F - 1) * FRAME))), 1e-9), "%g", r.psnr_motion_db);
    CHECK(r.gradient_ratio != 1, "%g", r.gradient_ratio);
}

/* Each metric sees the damage that it is there for. */
static void test_damage(void)
{
    aopt_comparison r;
    int c, f, y, x;
    reset();                                            /* blur: neighbours averaged */
    for (c = 0; c < 3; c++)
        for (f = 0; f < F; f++)
            for (y = 0; y < H; y++)
                for (x = 0; x + 1 < W; x++) {
                    reference[at(c, f, y, x)] += (x + y) % 2 ? 0.1f : -0.1f;
                    video[at(c, f, y, x)] = 0.5f * (reference[at(c, f, y, x)] + reference[at(c, f, y, x + 1)]);
                }
    r = compare();
    CHECK(r.gradient_ratio < 0.9, "blur: gradient ratio %g", r.gradient_ratio);
    reset();                                            /* a frozen frame: frame 1 shown again as frame 2 */
    for (c = 0; c < 3; c++) memcpy(video + at(c, 2, 0, 0), video + at(c, 1, 0, 0), FRAME * sizeof(float));
    r = compare();
    CHECK(r.frame_min == 2 && r.psnr_frame_min_db < r.psnr_db && r.psnr_motion_db < 40, "frozen: frame %lld, %g dB, motion %g dB", (long long)r.frame_min, r.psnr_frame_min_db, r.psnr_motion_db);
}

/* NaN and infinity on either side: counted, placed, and no limit can be met. */
static void test_nonfinite(void)
{
    float *side[2];
    int s;
    side[0] = video;
    side[1] = reference;
    for (s = 0; s < 2; s++) {
        aopt_comparison r;
        int64_t count, other;
        const int64_t *place;
        reset();
        side[s][at(1, 2, 3, 4)] = NAN;
        side[s][at(2, 0, 0, 0)] = -INFINITY;
        r = compare();
        count = s ? r.reference_nonfinite : r.nonfinite;
        other = s ? r.nonfinite : r.reference_nonfinite;
        place = s ? r.reference_nonfinite_at : r.nonfinite_at;
        CHECK(count == 2 && other == 0, "%lld and %lld", (long long)count, (long long)other);
        CHECK(place[0] == 1 && place[1] == 2 && place[2] == 3 && place[3] == 4, "[%lld][%lld][%lld][%lld]", (long long)place[0], (long long)place[1], (long long)place[2], (long long)place[3]);
        CHECK(!(r.psnr_db >= -1e9) && !(r.psnr_frame_min_db >= -1e9) && !(r.psnr_tile_min_db >= -1e9) && !(r.max_abs <= 1e9) && !(r.mse <= 1e9), "a figure is not NaN");
        CHECK(!(fabs(r.mean_shift) <= 1e9) && !(r.psnr_motion_db >= -1e9) && !(r.gradient_ratio >= 0), "a figure is not NaN");
    }
    reset();                                            /* both NaN at the same place is still not equal */
    video[7] = reference[7] = NAN;
    CHECK(!(compare().psnr_db >= 0), "NaN equals NaN");
}

static void test_single_frame(void)
{
    aopt_comparison r;
    aopt_error err;
    reset();
    CHECK(aopt_compare(video, reference, 1, 1, 1, &r, &err) == AOPT_OK, "%s", err.message);
    CHECK(r.psnr_motion_db > 120 && r.gradient_ratio == 1 && r.psnr_tile_min_db > 120, "%g %g %g", r.psnr_motion_db, r.gradient_ratio, r.psnr_tile_min_db);
}

static void test_bad_arguments(void)
{
    aopt_comparison r;
    aopt_error err;
    CHECK(aopt_compare(NULL, reference, F, H, W, &r, &err) == AOPT_E_ARG, "NULL video");
    CHECK(aopt_compare(video, reference, F, H, W, NULL, NULL) == AOPT_E_ARG, "NULL out");
    CHECK(aopt_compare(video, reference, 0, H, W, &r, &err) == AOPT_E_SHAPE, "F = 0");
    CHECK(aopt_compare(video, reference, INT64_MAX, 2, 2, &r, &err) == AOPT_E_SHAPE, "F*H*W overflows");
    CHECK(aopt_compare(video, reference, 1, INT64_MAX / 8, 1, &r, &err) == AOPT_E_SHAPE, "bytes overflow");
}

int main(void)
{
    RUN(test_equal);
    RUN(test_constant_shift);
    RUN(test_one_pixel);
    RUN(test_damage);
    RUN(test_nonfinite);
    RUN(test_single_frame);
    RUN(test_bad_arguments);
    return check_report();
}
