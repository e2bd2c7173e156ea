package audit

import (
	"fmt"
	"time"

	"github.com/sfbridge/bridge/cmd/bridge/internal/fold"
	"github.com/sfbridge/bridge/salesforce"
)

// Kind is what is wrong with a record.
type Kind string

// The kinds of drifts.
const (
	Missing Kind = "missing" // the org has it, the topic does not
	Gone    Kind = "gone"    // the topic has it, the org does not
	Differs Kind = "differs" // both have it, with other fields
)

// Drift is a record of which the topic does not say what the org has.
type Drift struct {
	ID   string
	Kind Kind
	// Fields are the differences: the org's side is the wanted one.
	Fields []fold.Difference
	// Modified is SystemModstamp of the org's row, zero without one.
	Modified time.Time
}

// Report is what an audit has found.
type Report struct {
	// Org and Topic count the records of both. Org is -1 if Salesforce took too long
	// to count.
	Org, Topic int
	// CountsDiffer says that the numbers did not meet once within Settle. A full audit
	// compares ids in place of numbers.
	CountsDiffer bool
	// Compared is how many records were looked at. Of those Equal were equal, or became
	// so: Settled.
	Compared, Equal, Settled int
	Drifts                   []Drift
	// Undecided are records in doubt whose rows never rested.
	Undecided []Drift
	// Left are fields that rows do not have.
	Left []salesforce.LeftField
	// Unclear counts fields whose value the topic does not tell, such as diffs.
	Unclear int
}

// Same says whether nothing was found that is not equal.
func (r *Report) Same() bool {
	return len(r.Drifts) == 0 && len(r.Undecided) == 0 && !r.CountsDiffer
}

// IDs are those of the records that drifted: what a repair has to read again.
func (r *Report) IDs() []string {
	ids := make([]string, len(r.Drifts))
	for i, d := range r.Drifts {
		ids[i] = d.ID
	}
	return ids
}

// TooManyError says that more records differ than can be looked at once more.
type TooManyError struct {
	Object string
	Bound  int
}

func (e *TooManyError) Error() string {
	return fmt.Sprintf("more than %d records of %s differ from the topic: it is no copy of the org; try: a snapshot, or --sample to see some of them", e.Bound, e.Object)
}
