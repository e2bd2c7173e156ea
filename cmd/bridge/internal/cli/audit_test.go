package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/integration/orgsim"
)

// audited runs the command in this process, with a way to ask for repairs.
func audited(t *testing.T, repair repairer, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	stop := newStopper(&errs, func(code int) { t.Errorf("exit(%d) was called", code) })
	defer stop.close()
	cmd := newAudit(stop, repair)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	err := cmd.ExecuteContext(t.Context())
	if err != nil {
		code = exitCode(err)
		fmt.Fprint(&errs, err)
	}
	return code, out.String(), errs.String()
}

// drift makes the topic say something else than the org: of one record nothing, of
// another another value; and of one that the org never had.
func (s *schemaSite) drift(t *testing.T, missing, wrong, gone string) {
	t.Helper()
	records, err := readTopic(t.Context(), s.kafka, "salesforce.Account")
	if err != nil {
		t.Fatal(err)
	}
	of := func(id string) *kgo.Record {
		i := slices.IndexFunc(records, func(r *kgo.Record) bool { return string(r.Key) == id })
		r := records[i]
		return &kgo.Record{Topic: r.Topic, Key: r.Key, Value: r.Value, Headers: r.Headers, Timestamp: r.Timestamp}
	}
	lost, stale, strange := of(missing), of(wrong), of(wrong)
	lost.Value, strange.Key = nil, []byte(gone)
	cl, err := kgo.NewClient(s.kafka...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.ProduceSync(t.Context(), lost, stale, strange).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// accounts makes accounts that are updated once, and waits until the topic has them.
func (s *schemaSite) accounts(t *testing.T, r *running, n int) (ids []string) {
	t.Helper()
	for i := range n {
		id, err := s.org.Create("Account", orgsim.Fields{"Name": fmt.Sprint("A", i), "Site": "before"})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.org.Update("Account", id, orgsim.Fields{"Site": "after", "Sic": "7"}); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	r.exactly(accountEvents)
	return ids
}

func TestAudit(t *testing.T) {
	s := newSchemaSite(t, "", accountEvents)
	ids := s.accounts(t, s.run(t), 20)
	args := []string{"-c", s.path, "--entity", "Account", "--settle", "300ms"}
	for _, mode := range []string{"--full", "--sample=50"} {
		if code, out, errs := audited(t, nil, append(args, mode)...); code != 0 || !strings.Contains(out, ": equal\n") || errs != "" {
			t.Fatalf("%s of equal sides: exit code %d\n%s%s", mode, code, out, errs)
		}
	}

	const strange = "001000000000999AAA"
	s.drift(t, ids[3], ids[5], strange)
	want := map[string]string{ids[3]: "missing", ids[5]: "differs", strange: "gone"}
	var asked []string
	repair := func(_ context.Context, b *bridge, channel, object string, ids []string) error {
		asked = append([]string{b.cfg.Name, channel, object}, ids...)
		return nil
	}
	for _, mode := range []string{"--full", "--sample=50"} {
		code, out, errs := audited(t, repair, append(args, mode, "--json", "--repair", "--show-values")...)
		if code != 1 || !strings.Contains(errs, "read 3 records again") {
			t.Errorf("%s: exit code %d\n%s", mode, code, errs)
		}
		checkAudit(t, out, want)
		slices.Sort(asked[3:])
		if expected := slices.Sorted(slices.Values([]string{ids[3], ids[5], strange})); !slices.Equal(asked, append([]string{"demo", accountEvents, "Account"}, expected...)) {
			t.Errorf("%s: asked to repair %q", mode, asked)
		}
	}

	code, out, _ := audited(t, nil, append(args, "--full")...)
	if code != 1 || !strings.Contains(out, ": NOT equal\n") || !strings.Contains(out, ids[5]+"  differs  Site") || strings.Contains(out, "before") {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

// checkAudit reads lines of JSON: the drifts and the summary.
func checkAudit(t *testing.T, out string, want map[string]string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(out), "\n")
	for _, line := range lines[:len(lines)-1] {
		var d driftRow
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			t.Fatal(err)
		}
		if d.Type != "drift" || want[d.ID] != d.Kind {
			t.Errorf("found %s, want %v", line, want)
		}
		if d.Kind == "differs" && !slices.ContainsFunc(d.Fields, func(f fieldSums) bool {
			return f.Field == "Site" && string(f.OrgValue) == `"after"` && string(f.TopicValue) == `"before"` && f.OrgSum != f.TopicSum
		}) {
			t.Errorf("fields %s", line)
		}
	}
	var s auditSummary
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &s); err != nil {
		t.Fatal(err)
	}
	if s.Type != "summary" || s.Same || s.Drifted != len(want) || len(lines) != len(want)+1 || s.APICalls == 0 || s.OrgRecords != 20 || s.TopicRecords != 20 {
		t.Errorf("summary %+v", s)
	}
}

// rewrite replaces a part of a file.
func rewrite(t *testing.T, path, old, text string) {
	t.Helper()
	was, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(was), old) {
		t.Fatalf("%s has no %q", path, old)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(was), old, text, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAuditRefuses(t *testing.T) {
	s := newSchemaSite(t, "", accountEvents, "/event/Low_Ink__e")
	raw := newSchemaSite(t, "", accountEvents)
	rewrite(t, raw.path, "lanes: 2", "lanes: 2\nformat: raw")
	split := newSchemaSite(t, "", accountEvents)
	rewrite(t, split.path, "topics:\n", "topics:\n  template: '{{.Object}}.{{.ChangeType}}'\n")
	for says, args := range map[string][]string{
		"--entity is missing":                   {"-c", s.path},
		"two different things":                  {"-c", s.path, "--entity", "Account", "--full", "--sample", "5"},
		"is no number of records":               {"-c", s.path, "--entity", "Account", "--sample", "0"},
		"is no time to wait":                    {"-c", s.path, "--entity", "Account", "--settle", "0s"},
		"is no number of calls":                 {"-c", s.path, "--entity", "Account", "--max-api-calls", "-1"},
		"no stream of the configuration":        {"-c", s.path, "--entity", "Contact"},
		"has the channel \"/data/ContactChange": {"-c", s.path, "--entity", "Account", "--stream", "/data/ContactChangeEvent"},
		"go to several topics":                  {"-c", split.path, "--entity", "Account"},
		"is raw":                                {"-c", raw.path, "--entity", "Account"},
		"do not suffice":                        {"-c", s.path, "--entity", "Account", "--sample", "1000", "--max-api-calls", "1"},
	} {
		t.Run(says, func(t *testing.T) {
			if code, _, stderr := call(t, append([]string{"audit"}, args...)...); code != 2 || !strings.Contains(stderr, says) {
				t.Errorf("exit code %d: %s", code, stderr)
			}
		})
	}
}
