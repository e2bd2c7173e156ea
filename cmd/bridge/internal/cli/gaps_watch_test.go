package cli

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/transform"
)

// counts waits until the status of the stream tells so many open gaps; -1 is that
// they are not known.
func (s *gapSite) counts(t *testing.T, r *running, want int) {
	t.Helper()
	eventually(t, func() error {
		for _, one := range r.ops.streams() {
			if one.Stream != accountEvents {
				continue
			}
			if one.OpenGaps == nil && want < 0 || one.OpenGaps != nil && *one.OpenGaps == want {
				return nil
			}
			if one.OpenGaps != nil {
				return fmt.Errorf("%d open gaps, want %d", *one.OpenGaps, want)
			}
		}
		return fmt.Errorf("open gaps are not known, want %d", want)
	})
}

// A stream's open gaps are counted from the ledger: those that were there before,
// those of this process, and what commands do about them.
func TestOpenGapsAreCounted(t *testing.T) {
	s := newGapSite(t, "")
	r := s.run(t)
	s.counts(t, r, 1)
	if err := s.org.Emit("Account", "GAP_UPDATE", "001000000000001AAA"); err != nil {
		t.Fatal(err)
	}
	s.counts(t, r, 2)
	s.gaps(t, 0, "waive", s.holes[0].ID(), "--reason", "test")
	s.counts(t, r, 1)
	other := *s.holes[0]
	other.Org = "00D000000000009AAA"
	s.enter(t, &other)
	again := *s.holes[3] // of another state than before
	again.State = transform.HoleRepairing
	s.enter(t, &again)
	s.counts(t, r, 2)
	s.write(t, &kgo.Record{Topic: gapsTopic, Key: []byte(again.ID())})
	s.counts(t, r, 1)
	r.drain()
}

// Where there is no ledger yet, there are no gaps, and one that is made is found.
func TestOpenGapsOfALedgerThatIsMadeLater(t *testing.T) {
	s := &gapSite{schemaSite: newSchemaSite(t, "format: json", accountEvents)}
	r := s.run(t)
	s.counts(t, r, 0)
	if err := s.org.Emit("Account", "GAP_UPDATE", "001000000000001AAA"); err != nil {
		t.Fatal(err)
	}
	s.counts(t, r, 1)
	r.drain()
}

// While a record cannot be read nothing is known, since it may be any stream's.
func TestOpenGapsAreNotKnown(t *testing.T) {
	s := newGapSite(t, "format: json")
	id := s.holes[0].ID()
	s.write(t, &kgo.Record{Topic: gapsTopic, Key: []byte(id), Value: []byte(`{"id":"` + id)})
	r := s.run(t)
	eventually(t, func() error {
		if n := len(r.gaps.waiting()); n != 1 {
			return fmt.Errorf("%d records could not be read, want 1", n)
		}
		return nil
	})
	s.counts(t, r, -1)
	s.enter(t, s.holes[0])
	s.counts(t, r, 1)
	r.drain()
}
