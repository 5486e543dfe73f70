#!/usr/bin/env bash
# order.sh - what the place in a pair is worth: for each row on a GPU the mean of 100 ln(incumbent / candidate) over pairs that the incumbent began and over those that the
# candidate began (noise floor apart), their middle, which is the gain whatever the order does, and half of what they differ by
cd "$(dirname "$0")/../.." || exit 1
echo "row  floor: half  pairs: incumbent first (n, deviation)  candidate first (n, deviation)  middle  half"
git log --reverse --format=%H refs/autoopt/log | while read -r commit; do
    git show "$commit:samples.tsv" 2>/dev/null | awk -F'\t' -v row="$(git log -1 --format=%s "$commit" | cut -d' ' -f1,2)" '
        $1 ~ /floor|screen|confirm|extend/ && $11 ~ /^[0-9]/ && $10 == "-" { k = ($1 == "floor") $4; d = 100 * log($6 / $7); n[k]++; s[k] += d; q[k] += d * d }
        function mean(k) { return s[k] / n[k] }
        function sd(k) { return sqrt(q[k] / n[k] - mean(k) ^ 2 > 0 ? q[k] / n[k] - mean(k) ^ 2 : 0) }
        END { if (!n["0A"] || !n["0B"]) exit
              printf "%s  %s  %+.2f (%d, %.2f)  %+.2f (%d, %.2f)  %+.2f  %.2f\n", row, n["1A"] && n["1B"] ? sprintf("%.2f", (mean("1B") - mean("1A")) / 2) : "-",
                     mean("0A"), n["0A"], sd("0A"), mean("0B"), n["0B"], sd("0B"), (mean("0A") + mean("0B")) / 2, (mean("0B") - mean("0A")) / 2 }'
done
