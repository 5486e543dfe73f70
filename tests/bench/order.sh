#!/usr/bin/env bash
# order.sh - what the place in a pair is worth: for each row on a GPU the mean of 100 ln(incumbent / candidate) over pairs that the incumbent began and over those that the
# candidate began, their middle, which is the gain whatever the order does, and half of what they differ by; of the incumbent against itself the noise floor
# (aopt_noise_floor) and that half; all in percent
cd "$(dirname "$0")/../.." || exit 1
echo "row  itself: floor, half  pairs: incumbent first (n, deviation)  candidate first (n, deviation)  middle  half"
git log --reverse --format=%H refs/autoopt/log | while read -r commit; do
    git show "$commit:samples.tsv" 2>/dev/null | awk -F'\t' -v row="$(git log -1 --format=%s "$commit" | cut -d' ' -f1,2)" '
        $1 ~ /floor|screen|confirm|extend/ && $11 ~ /^[0-9]/ && $10 == "-" { k = ($1 == "floor") $4; d = 100 * log($6 / $7); if ($1 == "floor") itself[++m] = d; n[k]++; s[k] += d; q[k] += d * d }
        function mean(k) { return s[k] / n[k] }
        function sd(k) { return sqrt(q[k] / n[k] - mean(k) ^ 2 > 0 ? q[k] / n[k] - mean(k) ^ 2 : 0) }
        function median(v, i, k, t) {
            for (i = 2; i <= m; i++) for (k = i; k > 1 && v[k - 1] > v[k]; k--) { t = v[k]; v[k] = v[k - 1]; v[k - 1] = t }
            return (v[int((m + 1) / 2)] + v[int((m + 2) / 2)]) / 2
        }
        function floor(i, mid) {
            mid = median(itself)
            for (i = 1; i <= m; i++) itself[i] = itself[i] > mid ? itself[i] - mid : mid - itself[i]
            return 1.25 * 1.4826 * median(itself) / sqrt(m)
        }
        END { if (!n["0A"] || !n["0B"]) exit
              printf "%s  %s, %s  %+.2f (%d, %.2f)  %+.2f (%d, %.2f)  %+.2f  %.2f\n", row, m ? sprintf("%.2f", floor()) : "-", n["1A"] && n["1B"] ? sprintf("%.2f", (mean("1B") - mean("1A")) / 2) : "-",
                     mean("0A"), n["0A"], sd("0A"), mean("0B"), n["0B"], sd("0B"), (mean("0A") + mean("0B")) / 2, (mean("0B") - mean("0A")) / 2 }'
done
