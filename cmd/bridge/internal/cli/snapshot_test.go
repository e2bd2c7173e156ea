package cli

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/cmd/bridge/internal/source/snapshot"
)

// The stream of an entity is the one that says so, before those that may carry it.
func TestCover(t *testing.T) {
	stream := func(channel string, multi bool, entities ...string) config.Stream {
		s := config.Stream{Channel: channel, Kind: config.ChangeData, Multi: multi}
		for _, name := range entities {
			s.Entities = append(s.Entities, config.Entity{Name: name})
		}
		return s
	}
	account, lead := stream("/data/AccountChangeEvent", false), stream("/data/LeadChangeEvent", false)
	all, sales, other := stream("/data/ChangeEvents", true), stream("/data/Sales__chn", true, "Quote", "Account"), stream("/data/Other__chn", true)
	order := config.Stream{Channel: "/event/Order__e", Kind: config.PlatformEvent}
	polled := config.Stream{Channel: "/query/Entitlement", Kind: config.Rows, Source: config.SourceQuery, Query: config.Query{Object: "Entitlement"}}
	for name, tt := range map[string]struct {
		streams         []config.Stream
		entity, channel string
		want, wrong     string
	}{
		"the only one":              {[]config.Stream{account, lead, order}, "Lead", "", "/data/LeadChangeEvent", ""},
		"one of all":                {[]config.Stream{all, order}, "Invoice__c", "", "/data/ChangeEvents", ""},
		"one that names it":         {[]config.Stream{all, sales, lead}, "Quote", "", "/data/Sales__chn", ""},
		"two that name it":          {[]config.Stream{account, sales}, "Account", "", "", "several streams; name one by --stream: /data/AccountChangeEvent, /data/Sales__chn"},
		"two that name it, and one": {[]config.Stream{account, sales}, "Account", "/data/Sales__chn", "/data/Sales__chn", ""},
		"two that may":              {[]config.Stream{all, other}, "Account", "", "", "several streams"},
		"none":                      {[]config.Stream{account, order}, "Invoice__c", "", "", "add one, such as /data/Invoice__ChangeEvent"},
		"one that is polled":        {[]config.Stream{account, polled}, "Entitlement", "", "", "asked for by /query/Entitlement"},
		"another than named":        {[]config.Stream{account, lead}, "Lead", "/data/AccountChangeEvent", "", "does not carry change events of Lead; these do: /data/LeadChangeEvent"},
		"no such stream":            {[]config.Stream{account}, "Account", "/data/AccountEvent", "", `no stream of the configuration has the channel "/data/AccountEvent"`},
		"an event of a name":        {[]config.Stream{order}, "Order__e", "", "", "no stream"},
	} {
		b := &bridge{cfg: &config.Config{Streams: tt.streams}}
		s, err := b.cover(tt.entity, tt.channel)
		switch {
		case tt.wrong != "":
			if err == nil || !strings.Contains(err.Error(), tt.wrong) || exitCode(err) != pipeline.ExitUsage {
				t.Errorf("%s: %v, want %q", name, err, tt.wrong)
			}
		case err != nil || s.Channel != tt.want:
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
}

func TestWantedRows(t *testing.T) {
	for wrong, r := range map[string]wantedRows{
		"--entity is needed":               {},
		"--sweep is of a whole entity":     {entity: "Account", sweep: true, where: "Name = 'x'"},
		"--ids is needed":                  {entity: "Account", reread: true},
		`--ids: "4711" is no record id`:    {entity: "Account", reread: true, ids: []string{"001xx000003DGb2", "4711"}},
		"--ids: \"001xx000003DGb2AAX\" is": {entity: "Account", reread: true, ids: []string{"001xx000003DGb2AAX"}},
	} {
		if err := r.check(); err == nil || !strings.Contains(err.Error(), wrong) {
			t.Errorf("%+v: %v, want %q", r, err, wrong)
		}
	}
	r := wantedRows{entity: "Account", reread: true, ids: []string{" 001xx000003DGb2", "001xx000003DGb2AAG"}}
	if err := r.check(); err != nil || r.ids[0] != "001xx000003DGb2AAG" || r.ids[1] != r.ids[0] {
		t.Errorf("%v, %v", r.ids, err)
	}
}

// A direction is sent to the tasks that stand as it needs, each by its id.
func TestChosenTasks(t *testing.T) {
	const a, l = "/data/AccountChangeEvent", "/data/LeadChangeEvent"
	rows := []taskRow{
		{Channel: a, Task: "initial/Account", Object: "Account", State: snapshot.Running},
		{Channel: a, Task: "snapshot/3", Object: "Account", State: snapshot.Paused},
		{Channel: l, Task: "snapshot/3", Object: "Lead", State: snapshot.Done},
	}
	for name, tt := range map[string]struct {
		which chosenTasks
		what  direction
		want  string
		wrong string
	}{
		"stop an entity":    {chosenTasks{entity: "Account"}, stopTasks(), "[stop initial/Account stop snapshot/3]", ""},
		"pause an entity":   {chosenTasks{entity: "Account"}, pauseTasks(), "[pause initial/Account]", ""},
		"resume by id":      {chosenTasks{task: "snapshot/3"}, resumeTasks(), "[resume snapshot/3]", ""},
		"stop what is done": {chosenTasks{entity: "Lead"}, stopTasks(), "", "there is nothing to stop: snapshot/3 of " + l + " is done"},
		"of another stream": {chosenTasks{task: "initial/Account", stream: l}, stopTasks(), "", "there is no such task"},
		"of no task at all": {chosenTasks{task: "snapshot/4"}, stopTasks(), "", "there is no such task"},
		"resume what runs":  {chosenTasks{task: "initial/Account"}, resumeTasks(), "", "initial/Account of " + a + " is running"},
	} {
		signals, err := tt.which.signals(rows, tt.what)
		var got []string
		for _, s := range signals {
			got = append(got, string(s.Type)+" "+s.Task)
		}
		if tt.wrong != "" && (err == nil || !strings.Contains(err.Error(), tt.wrong)) || tt.wrong == "" && (err != nil || fmt.Sprint(got) != tt.want) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// Whoever waits learns from the exit code what became of it.
func TestVerdict(t *testing.T) {
	for name, tt := range map[string]struct {
		last []snapshot.Notice
		code int
		says string
	}{
		"done":              {[]snapshot.Notice{{Type: snapshot.TaskDone}, {Type: snapshot.TaskDone}}, pipeline.ExitOK, ""},
		"refused":           {[]snapshot.Notice{{Type: snapshot.Refused, Why: "repair is off"}, {Type: snapshot.TaskDone}}, pipeline.ExitUsage, "the bridge refuses it: repair is off"},
		"aborted":           {[]snapshot.Notice{{Type: snapshot.TaskEnded, Why: "stopped by me"}}, pipeline.ExitHalted, "ended before its end: stopped by me"},
		"paused":            {[]snapshot.Notice{{Type: snapshot.TaskPaused}}, pipeline.ExitHalted, "it goes on with: bridge snapshot resume --stream /data/x --task t0"},
		"aborted, refused":  {[]snapshot.Notice{{Type: snapshot.TaskEnded}, {Type: snapshot.Refused}}, pipeline.ExitHalted, "refuses"},
		"nobody has waited": {[]snapshot.Notice{{}}, pipeline.ExitOK, ""},
	} {
		w := &taskWatch{}
		for i, n := range tt.last {
			w.tasks = append(w.tasks, &watchedTask{Channel: "/data/x", Task: fmt.Sprintf("t%d", i), last: n})
		}
		err := w.verdict()
		if tt.code == pipeline.ExitOK && err != nil || tt.code != pipeline.ExitOK && (exitCode(err) != tt.code || !strings.Contains(err.Error(), tt.says)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTaskBar(t *testing.T) {
	for want, p := range map[string]taskProgress{
		"[                        ] 0 rows, 0/s": {waits: 1},
		"] 700 rows, 100/s":                      {rows: 700, before: 500, waits: 1, took: 2 * time.Second},
		"] 500 rows, 250/s":                      {rows: 500, waits: 1, took: 2 * time.Second},
		"[============            ] 500 of 1000 rows, 250/s, 2s left":  {rows: 500, total: 1000, counted: true, waits: 1, took: 2 * time.Second},
		"[========================] 1100 of 1000 rows, 550/s, 0s left": {rows: 1100, total: 1000, counted: true, waits: 1, took: 2 * time.Second},
	} {
		var line bytes.Buffer
		v := &textTasks{bar: &line, live: true}
		if err := v.progress(p); err != nil || !strings.Contains(line.String(), want) {
			t.Errorf("%q, want %q (%v)", line.String(), want, err)
		}
	}
	var line bytes.Buffer
	if err := (&textTasks{bar: &line}).progress(taskProgress{rows: 1, waits: 1}); err != nil || line.Len() > 0 {
		t.Errorf("not on a terminal it prints %q", line.String())
	}
}
