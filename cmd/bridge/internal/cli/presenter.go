package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/sfbridge/bridge/integration/orgsim"
)

func demoClientID() string { return orgsim.DefaultApp(nil).ClientID }
func demoUser() string     { return orgsim.DefaultUser().Username }

// addresses are where the demo's parts can be looked at.
type addresses struct {
	Org      string `json:"org"`
	Kafka    string `json:"kafka"`
	Registry string `json:"registry"`
	Ops      string `json:"ops"`
}

// summary is the demo's verdict.
type summary struct {
	Published   int            `json:"published"` // events
	Received    uint64         `json:"received"`  // events
	Produced    uint64         `json:"produced"`  // events
	Expected    int            `json:"expected"`  // records
	Seen        int            `json:"seen"`      // records
	Topics      map[string]int `json:"topics"`    // records by topic
	Positions   []position     `json:"positions"`
	Differences []string       `json:"differences"`
}

type position struct {
	Channel  string `json:"channel"`
	Position string `json:"position"`
}

// presenter shows a demo, to people or to programs.
type presenter interface {
	addresses(addresses) error
	record(delivered) error
	summary(summary) error
}

func newPresenter(asJSON bool, w io.Writer) presenter {
	if asJSON {
		return jsonPresenter{w}
	}
	return &textPresenter{table: newTable(w)}
}

type jsonPresenter struct{ w io.Writer }

func (p jsonPresenter) addresses(a addresses) error { return tagged(p.w, "addresses", a) }
func (p jsonPresenter) record(d delivered) error    { return tagged(p.w, "record", d) }
func (p jsonPresenter) summary(s summary) error     { return tagged(p.w, "summary", s) }

type textPresenter struct{ *table }

func (p *textPresenter) addresses(a addresses) error {
	_, err := fmt.Fprintf(p.w, `bridge demo: a simulated Salesforce org, an in-process Kafka, and the bridge between them

  org       %-30s OAuth, CometD and REST; control API under /orgsim/
  kafka     %-30s kcat -b %s -L
  registry  %-30s curl %s/subjects
  ops       %-30s livez, readyz, metrics, status

`, a.Org, a.Kafka, a.Kafka, a.Registry, a.Registry, a.Ops)
	if err != nil {
		return err
	}
	return p.header()
}

func (p *textPresenter) summary(s summary) error {
	text := fmt.Sprintf("\n%d events published, %d received, %d produced; %d records expected, %d seen\n",
		s.Published, s.Received, s.Produced, s.Expected, s.Seen)
	for _, topic := range slices.Sorted(maps.Keys(s.Topics)) {
		text += fmt.Sprintf("  %-30s %d records\n", topic, s.Topics[topic])
	}
	for _, at := range s.Positions {
		text += fmt.Sprintf("  %-30s position %s\n", at.Channel, at.Position)
	}
	if len(s.Differences) == 0 {
		text += "the consumer saw exactly what the org published: each event once, in order\n"
	}
	for _, d := range s.Differences[:min(len(s.Differences), 20)] {
		text += "  " + d + "\n"
	}
	_, err := io.WriteString(p.w, text)
	return err
}
