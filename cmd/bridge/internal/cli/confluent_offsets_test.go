package cli

import (
	"maps"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Shapes of offsets: what is beyond doubt is taken, everything else is named.
func TestPositionsOfConnectOffsets(t *testing.T) {
	configured := []string{"/topic/LeadUpdates", "/data/Sales__chn", "/data/Twice__chn", "/event/Twice__chn"}
	for _, c := range []struct {
		name, partition, offset string
		channels                []string
		want                    map[string]int64
		doubt                   string
	}{
		{"camel case", `{"channel":"/data/AccountChangeEvent"}`, `{"replayId":123}`, nil, map[string]int64{"/data/AccountChangeEvent": 123}, ""},
		{"snake case, a name alone", `{"cdcName":"ContactChangeEvent"}`, `{"replay_id":"9007199254740993"}`, nil, map[string]int64{"/data/ContactChangeEvent": 9007199254740993}, ""},
		{"platform event", `{"event":"Order__e"}`, `{"ReplayId":7,"time":1700000000000}`, nil, map[string]int64{"/event/Order__e": 7}, ""},
		{"all events", `{}`, `{"replay.id":7,"channel":"ChangeEvents"}`, nil, map[string]int64{"/data/ChangeEvents": 7}, ""},
		{"a configured PushTopic", `{"topic":"LeadUpdates"}`, `{"replayId":7}`, configured, map[string]int64{"/topic/LeadUpdates": 7}, ""},
		{"a configured custom channel", `{"channel":"Sales__chn"}`, `{"replayId":7}`, configured, map[string]int64{"/data/Sales__chn": 7}, ""},
		{"the name as key", `{}`, `{"LeadUpdates":8}`, configured, map[string]int64{"/topic/LeadUpdates": 8}, ""},
		{"no name at all", `{}`, `{"replayId":7}`, configured, nil, "does not say which channel"},
		{"a name of two channels", `{"channel":"Twice__chn"}`, `{"replayId":7}`, configured, nil, "which of /data/Twice__chn, /event/Twice__chn"},
		{"the event's name as key", `{}`, `{"Order__e":8}`, nil, map[string]int64{"/event/Order__e": 8}, ""},
		{"a PushTopic's name", `{"topic":"LeadUpdates"}`, `{"replayId":7}`, nil, nil, "does not say which channel"},
		{"a custom channel's name", `{"channel":"Sales__chn"}`, `{"replayId":7}`, nil, nil, "does not say which channel"},
		{"two channels", `{"a":"AccountChangeEvent","b":"Order__e"}`, `{"replayId":7}`, nil, nil, "which of /data/AccountChangeEvent, /event/Order__e"},
		{"two replay ids", `{"a":"AccountChangeEvent"}`, `{"replayId":7,"replay_id":8}`, nil, nil, "which of replayId, replay_id"},
		{"some number", `{"a":"AccountChangeEvent"}`, `{"position":7}`, nil, nil, `number under "position"`},
		{"some numbers", `{"a":"AccountChangeEvent"}`, `{"x":7,"y":8}`, nil, nil, "no replay id"},
		{"no number", `{"a":"AccountChangeEvent"}`, `{"replayId":"abc"}`, nil, nil, "holds no whole number"},
		{"a fraction", `{"a":"AccountChangeEvent"}`, `{"replayId":1.5}`, nil, nil, "holds no whole number"},
		{"earliest", `{"a":"AccountChangeEvent"}`, `{"replayId":-2}`, nil, nil, "is no position"},
	} {
		t.Run(c.name, func(t *testing.T) {
			offsets, err := parseConnectOffsets([]byte(`{"offsets":[{"partition":` + c.partition + `,"offset":` + c.offset + `}]}`))
			if err != nil {
				t.Fatal(err)
			}
			got := positionsOf(offsets, c.channels)
			if !maps.Equal(got.Positions, c.want) && len(got.Positions)+len(c.want) > 0 {
				t.Errorf("positions %v, want %v (%v)", got.Positions, c.want, got.Doubts)
			}
			if told := strings.Join(got.Doubts, "\n"); (c.doubt == "") != (told == "") || !strings.Contains(told, c.doubt) {
				t.Errorf("doubts %q, want %q", told, c.doubt)
			}
		})
	}
}

// Two connectors of one channel: neither position is taken.
func TestPositionsThatContradict(t *testing.T) {
	offsets, err := parseConnectOffsets([]byte(`{"name":"x","offsets":[
		{"partition":{"c":"AccountChangeEvent","task":"0"},"offset":{"replayId":7}},
		{"partition":{"c":"AccountChangeEvent","task":"1"},"offset":{"replayId":8}},
		{"partition":{"c":"AccountChangeEvent","task":"2"},"offset":{"replayId":7}},
		{"partition":{"c":"Order__e"},"offset":{"replayId":9}},
		{"partition":{"c":"Invoice__e"},"offset":null}]}`))
	if err != nil {
		t.Fatal(err)
	}
	got := positionsOf(offsets, nil)
	if !maps.Equal(got.Positions, map[string]int64{"/event/Order__e": 9}) || len(got.Doubts) != 2 || !strings.Contains(got.Doubts[0], "connector x") {
		t.Errorf("%+v", got)
	}
}

func TestOffsetsThatAreNone(t *testing.T) {
	for text, says := range map[string]string{
		`{"offsets":[]} {}`: "more behind",
		`[]`:                "not the JSON",
		`{"name":"x"}`:      `no list "offsets"`,
		``:                  "not the JSON",
	} {
		if _, err := parseConnectOffsets([]byte(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", text, err, says)
		}
	}
}

// Of a worker's topic the last offset of each key counts, and none that was taken out.
func TestOffsetsOfAWorkersTopic(t *testing.T) {
	const topic = "connect-offsets"
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, topic))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	opts := []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	put := func(key, value string) {
		t.Helper()
		r := &kgo.Record{Topic: topic, Key: []byte(key)}
		if value != "" {
			r.Value = []byte(value)
		}
		if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	put(`["accounts",{"channel":"AccountChangeEvent"}]`, `{"replayId":1}`)
	put(`["orders",{"channel":"Order__e"}]`, `{"replayId":5}`)
	put(`["accounts",{"channel":"AccountChangeEvent"}]`, `{"replayId":2}`)
	put(`["gone",{"channel":"Gone__e"}]`, `{"replayId":2}`)
	put(`["gone",{"channel":"Gone__e"}]`, ``)
	for connector, want := range map[string]map[string]int64{
		"":         {"/data/AccountChangeEvent": 2, "/event/Order__e": 5},
		"accounts": {"/data/AccountChangeEvent": 2},
		"other":    {},
	} {
		offsets, err := readConnectOffsets(t.Context(), opts, topic, connector)
		if err != nil {
			t.Fatal(err)
		}
		if got := positionsOf(offsets, nil); !maps.Equal(got.Positions, want) || len(got.Doubts) > 0 {
			t.Errorf("connector %q: %+v, want %v", connector, got, want)
		}
	}
	put("acme-key", `{}`)
	if _, err := readConnectOffsets(t.Context(), opts, topic, ""); err == nil || !strings.Contains(err.Error(), "Kafka Connect worker's offsets?") {
		t.Error(err)
	}
}
