package salesforce

import (
	"math/big"
	"testing"
)

// TestCuts: the cuts lie evenly and in order, and are ids that Salesforce takes.
func TestCuts(t *testing.T) {
	const first, last = "001xx000003DGb2AAG", "001xx00000zzzzzAAC"
	ids := cuts(first, last, 5)
	if len(ids) != 4 {
		t.Fatalf("%d cuts: %q", len(ids), ids)
	}
	width := new(big.Int).Sub(idNumber(last), idNumber(first))
	before := idNumber(first)
	for _, id := range append(ids, last) {
		if full, err := ID18(id[:15]); id != last && (err != nil || full != id) {
			t.Errorf("%s: %s, %v", id, full, err)
		}
		step := new(big.Int).Sub(idNumber(id), before)
		before = idNumber(id)
		if off := new(big.Int).Sub(step.Mul(step, big.NewInt(5)), width); off.CmpAbs(big.NewInt(10)) > 0 {
			t.Errorf("%s is off by %v fifths", id, off)
		}
	}
	for _, ends := range [][2]string{{first, first}, {last, first}, {first, "003xx000003DGb2AAG"}, {"001xx0000000001AAA", "001xx0000000002AAA"}} {
		if ids := cuts(ends[0], ends[1], 9); len(ids) != 0 {
			t.Errorf("%v: %q", ends, ids)
		}
	}
}
