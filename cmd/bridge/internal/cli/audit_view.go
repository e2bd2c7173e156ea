package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sfbridge/bridge/cmd/bridge/internal/audit"
	"github.com/sfbridge/bridge/cmd/bridge/internal/fold"
)

// auditView is a report as it is printed.
type auditView struct {
	drifts  []driftRow
	summary auditSummary
}

// driftRow is a record that is not equal, or of which nobody can tell.
type driftRow struct {
	Type     string      `json:"type"` // drift, undecided
	ID       string      `json:"id"`
	Kind     string      `json:"kind"`
	Modified time.Time   `json:"modified,omitzero"`
	Fields   []fieldSums `json:"fields,omitempty"`
}

// fieldSums is a field that differs: checksums, empty for no value, and the values if
// they are to be shown.
type fieldSums struct {
	Field      string          `json:"field"`
	OrgSum     string          `json:"org_sum"`
	TopicSum   string          `json:"topic_sum"`
	OrgValue   json.RawMessage `json:"org_value,omitempty"`
	TopicValue json.RawMessage `json:"topic_value,omitempty"`
}

// auditSummary is the verdict. Org is -1 if Salesforce took too long to count.
type auditSummary struct {
	Type         string      `json:"type"`
	Object       string      `json:"object"`
	Channel      string      `json:"channel"`
	Topic        string      `json:"topic"`
	Same         bool        `json:"same"`
	OrgRecords   int         `json:"org_records"`
	TopicRecords int         `json:"topic_records"`
	CountsDiffer bool        `json:"counts_differ"`
	Compared     int         `json:"compared"`
	Equal        int         `json:"equal"`
	Settled      int         `json:"settled"` // of those that are equal
	Drifted      int         `json:"drifted"`
	Undecided    int         `json:"undecided"`
	Unclear      int         `json:"unclear_fields"`
	NotCompared  []fieldNote `json:"not_compared"`
	APICalls     int         `json:"api_calls"`
}

type fieldNote struct {
	Field string `json:"field"`
	Why   string `json:"why"`
}

func (d *auditDesk) view(r *audit.Report) *auditView {
	v := &auditView{summary: auditSummary{
		Type: "summary", Object: d.flags.entity, Channel: d.stream.Channel, Topic: d.topic, Same: r.Same(),
		OrgRecords: r.Org, TopicRecords: r.Topic, CountsDiffer: r.CountsDiffer,
		Compared: r.Compared, Equal: r.Equal, Settled: r.Settled, Drifted: len(r.Drifts), Undecided: len(r.Undecided),
		Unclear: r.Unclear, NotCompared: []fieldNote{}, APICalls: d.calls.spent(),
	}}
	for _, l := range r.Left {
		v.summary.NotCompared = append(v.summary.NotCompared, fieldNote{l.Name, l.Why})
	}
	v.add("drift", r.Drifts)
	v.add("undecided", r.Undecided)
	return v
}

func (v *auditView) add(kind string, drifts []audit.Drift) {
	for _, d := range drifts {
		row := driftRow{Type: kind, ID: d.ID, Kind: string(d.Kind), Modified: d.Modified}
		slices.SortFunc(d.Fields, func(a, b fold.Difference) int { return strings.Compare(a.Field, b.Field) })
		for _, f := range d.Fields {
			row.Fields = append(row.Fields, fieldSums{f.Field, f.WantSum, f.HaveSum, f.WantValue, f.HaveValue})
		}
		v.drifts = append(v.drifts, row)
	}
}

func (v *auditView) write(w io.Writer, asJSON bool) error {
	if !asJSON {
		return v.text(w)
	}
	for i := range v.drifts {
		if err := writeJSON(w, &v.drifts[i]); err != nil {
			return err
		}
	}
	return writeJSON(w, &v.summary)
}

func (v *auditView) text(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	var b strings.Builder
	if len(v.drifts) > 0 {
		b.WriteString("ID\tKIND\tFIELD\tORG\tTOPIC\n")
	}
	for _, d := range v.drifts {
		kind := d.Kind
		if d.Type != "drift" {
			kind = d.Type + ": " + kind
		}
		if len(d.Fields) == 0 {
			fmt.Fprintf(&b, "%s\t%s\t\t\t\n", d.ID, kind)
		}
		for _, f := range d.Fields {
			fmt.Fprintf(&b, "%s\t%s\t%s\t%s\t%s\n", d.ID, kind, f.Field, f.shown(f.OrgSum, f.OrgValue), f.shown(f.TopicSum, f.TopicValue))
		}
	}
	if len(v.drifts) > 0 {
		b.WriteByte('\n')
	}
	if _, err := io.WriteString(tw, b.String()); err != nil {
		return err
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, v.summary.text())
	return err
}

// shown is a value, else its checksum; a field without a value has a dash.
func (fieldSums) shown(sum string, value json.RawMessage) string {
	switch {
	case sum == "":
		return "-"
	case value != nil:
		return printable(string(value))
	}
	return sum
}

func (s *auditSummary) text() string {
	var b strings.Builder
	verdict := "equal"
	switch {
	case s.Drifted > 0 || s.CountsDiffer:
		verdict = "NOT equal"
	case s.Undecided > 0:
		verdict = "not decided"
	}
	org := fmt.Sprint(s.OrgRecords)
	if s.OrgRecords < 0 {
		org = "(too many to count)"
	}
	fmt.Fprintf(&b, "%s on %s, topic %s: %s\n", s.Object, s.Channel, s.Topic, verdict)
	fmt.Fprintf(&b, "records: %s in the org, %d in the topic", org, s.TopicRecords)
	if s.CountsDiffer {
		b.WriteString("; they did not meet; try: --full")
	}
	fmt.Fprintf(&b, "\ncompared %d: %d equal (%d of them were on their way), %d drifted, %d undecided; %d API calls\n",
		s.Compared, s.Equal, s.Settled, s.Drifted, s.Undecided, s.APICalls)
	if s.Unclear > 0 {
		fmt.Fprintf(&b, "%d values were not compared, since the topic has diffs of them, or another envelope\n", s.Unclear)
	}
	for _, n := range s.NotCompared {
		fmt.Fprintf(&b, "not compared: %s (%s)\n", n.Field, n.Why)
	}
	return b.String()
}
