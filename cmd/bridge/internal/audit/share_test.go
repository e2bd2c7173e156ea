package audit

import (
	"math"
	"testing"
)

// Of an object that is too large to be counted few records are kept.
func TestShare(t *testing.T) {
	for _, tt := range []struct {
		n, many int
		least   float64 // of all hashes
		most    float64
	}{
		{n: 20, many: 0, least: 1, most: 1},
		{n: 20, many: 20, least: 1, most: 1},
		{n: 20, many: 40, least: 0.49, most: 0.51},
		{n: 2000, many: -1, least: 0.001, most: 0.003},
	} {
		if got := float64(share(tt.n, tt.many)) / math.MaxUint64; got < tt.least || got > tt.most {
			t.Errorf("%d of %d are %g of all", tt.n, tt.many, got)
		}
	}
}
