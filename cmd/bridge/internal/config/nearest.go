package config

import (
	"slices"
	"strings"
)

// nearest returns the word that word most probably was meant to be, if any is
// near enough: at most a third of its letters wrong, two letters swapped
// counting as one, or else the only one that begins with it.
func nearest(word string, words []string) (string, bool) {
	best, bestDistance := "", max(1, len(word)/3)+1
	for _, w := range words {
		if d := distance(word, w); d < bestDistance {
			best, bestDistance = w, d
		}
	}
	if best != "" || len(word) < minPrefix {
		return best, best != ""
	}
	for _, w := range words {
		if strings.HasPrefix(w, word) {
			if best != "" {
				return "", false
			}
			best = w
		}
	}
	return best, best != ""
}

// minPrefix is the least that a beginning says.
const minPrefix = 3

// maxCompared bounds the words that are compared: no key is longer.
const maxCompared = 64

// distance is the optimal string alignment distance in bytes.
func distance(a, b string) int {
	if len(a) > maxCompared || len(b) > maxCompared {
		return maxCompared
	}
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

// keysOf are the keys of a section, in its order.
func keysOf(fields []field) []string {
	keys := make([]string, 0, len(fields))
	for _, f := range fields {
		keys = append(keys, f.key)
	}
	return slices.Clip(keys)
}
