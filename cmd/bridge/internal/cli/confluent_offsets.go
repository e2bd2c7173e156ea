package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// connectOffset is what Kafka Connect keeps of one partition of a source connector.
// Partition and Offset are maps that the connector chose; a nil Offset says that it
// was taken out.
type connectOffset struct {
	Connector         string // empty where the text does not tell
	Partition, Offset map[string]any
}

// connectPositions are the replay ids that were found in offsets, by channel, and
// everything that was not taken, each with the reason.
type connectPositions struct {
	Positions map[string]int64
	Doubts    []string
}

// readConnectOffsets reads a worker's topic of offsets (offset.storage.topic, or
// offsets.storage.topic of the connector) up to its present end. connector may be
// empty for all that are in it.
func readConnectOffsets(ctx context.Context, opts []kgo.Opt, topic, connector string) ([]connectOffset, error) {
	records, err := readTopic(ctx, opts, topic)
	if err != nil {
		return nil, fmt.Errorf("topic %s of Kafka Connect's offsets: %w", topic, err)
	}
	return latestOffsets(records, connector)
}

// latestOffsets are the last offsets of each key: the topic is compacted.
func latestOffsets(records []*kgo.Record, connector string) ([]connectOffset, error) {
	last := make(map[string]connectOffset)
	for _, r := range records {
		one, err := offsetOfRecord(r)
		if err != nil {
			return nil, fmt.Errorf("record %d of partition %d in %s: %w", r.Offset, r.Partition, r.Topic, err)
		}
		if connector == "" || one.Connector == connector {
			last[string(r.Key)] = one
		}
	}
	out := make([]connectOffset, 0, len(last))
	for _, key := range slices.Sorted(maps.Keys(last)) {
		if last[key].Offset != nil {
			out = append(out, last[key])
		}
	}
	return out, nil
}

// offsetOfRecord reads the key ["connector", {partition}] and the value {offset},
// which a worker writes as JSON whatever its converters are.
func offsetOfRecord(r *kgo.Record) (connectOffset, error) {
	var one connectOffset
	var key []json.RawMessage
	if err := exactJSON(r.Key, &key); err != nil || len(key) != 2 {
		return one, fmt.Errorf(`the key %q is not ["connector", {partition}]: is this the topic of a Kafka Connect worker's offsets?`, short(r.Key))
	}
	if err := exactJSON(key[0], &one.Connector); err != nil {
		return one, fmt.Errorf("the key %q does not begin with a connector's name", short(r.Key))
	}
	if err := exactJSON(key[1], &one.Partition); err != nil {
		return one, fmt.Errorf("the key %q has no partition map", short(r.Key))
	}
	if len(r.Value) == 0 {
		return one, nil
	}
	if err := exactJSON(r.Value, &one.Offset); err != nil {
		return one, fmt.Errorf("the value %q is not a map", short(r.Value))
	}
	return one, nil
}

// parseConnectOffsets reads what GET /connectors/NAME/offsets answers, of Kafka
// Connect (KIP-875) and of Confluent Cloud alike.
func parseConnectOffsets(text []byte) ([]connectOffset, error) {
	var doc struct {
		Name    string `json:"name"`
		Offsets []struct {
			Partition map[string]any `json:"partition"`
			Offset    map[string]any `json:"offset"`
		} `json:"offsets"`
	}
	if err := exactJSON(text, &doc); err != nil {
		return nil, fmt.Errorf(`offsets: not the JSON that GET /connectors/NAME/offsets answers: %w`, err)
	}
	if doc.Offsets == nil {
		return nil, errors.New(`offsets: there is no list "offsets"; try: the answer of GET /connectors/NAME/offsets as it came`)
	}
	var out []connectOffset
	for _, o := range doc.Offsets {
		if o.Offset != nil {
			out = append(out, connectOffset{Connector: doc.Name, Partition: o.Partition, Offset: o.Offset})
		}
	}
	return out, nil
}

// exactJSON decodes one JSON value and nothing behind it, numbers as their digits: a
// replay id does not fit a float.
func exactJSON(text []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more behind the JSON value")
	}
	return nil
}

func short(text []byte) string {
	const most = 80
	if len(text) > most {
		return string(text[:most]) + "…"
	}
	return string(text)
}

// positionsOf finds channel and replay id in offsets. What the maps hold is the
// connector's own affair and differs between versions, so nothing is taken that could
// mean something else (I5). channels are those of the configuration: names of custom
// channels and PushTopics do not tell without them what they are.
func positionsOf(offsets []connectOffset, channels []string) connectPositions {
	out := connectPositions{Positions: make(map[string]int64)}
	refused := make(map[string]bool)
	for _, o := range offsets {
		id, named, err := replayIDOf(o.Offset, channels)
		if err == nil && named == "" {
			named, err = channelIn(o, channels)
		}
		if err != nil {
			out.Doubts = append(out.Doubts, o.String()+": "+err.Error())
			continue
		}
		if before, again := out.Positions[named]; again && before != id || refused[named] {
			delete(out.Positions, named)
			refused[named] = true
			out.Doubts = append(out.Doubts, fmt.Sprintf("%s: %s has another replay id elsewhere; try: the name of one connector", o, named))
			continue
		}
		out.Positions[named] = id
	}
	return out
}

// replayIDOf finds the one number of an offset that is a replay id: under a name that
// says so, or, as the first versions of the connector have it, under the name of
// the channel, which is returned then.
func replayIDOf(offset map[string]any, channels []string) (id int64, channel string, err error) {
	var found, numbers []string
	for _, name := range slices.Sorted(maps.Keys(offset)) {
		if plainName(name) == "replayid" {
			found = append(found, name)
		} else if _, isNumber := wholeNumber(offset[name]); isNumber {
			numbers = append(numbers, name)
		}
	}
	switch {
	case len(found) > 1:
		return 0, "", fmt.Errorf("which of %s is the replay id?", strings.Join(found, ", "))
	case len(found) == 0 && len(numbers) == 1:
		named := channelsNamed(numbers[0], channels)
		if len(named) != 1 {
			return 0, "", fmt.Errorf("nothing says that the number under %q is a replay id", numbers[0])
		}
		found, channel = numbers, named[0]
	case len(found) == 0:
		return 0, "", errors.New("there is no replay id in it")
	}
	id, ok := wholeNumber(offset[found[0]])
	switch {
	case !ok:
		return 0, "", fmt.Errorf("%q holds no whole number", found[0])
	case id < 0:
		return 0, "", fmt.Errorf("the replay id %d is no position: it stands for the first or the next event", id)
	}
	return id, channel, nil
}

// plainName is a name without what spellings differ in.
func plainName(name string) string {
	return strings.NewReplacer("_", "", ".", "", "-", "", " ", "").Replace(strings.ToLower(name))
}

func wholeNumber(v any) (int64, bool) {
	var text string
	switch v := v.(type) {
	case json.Number:
		text = v.String()
	case string:
		text = v
	default:
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}

// channelIn finds the one channel that the partition or the offset names.
func channelIn(o connectOffset, channels []string) (string, error) {
	var found []string
	for _, m := range []map[string]any{o.Partition, o.Offset} {
		for _, v := range m {
			if text, ok := v.(string); ok {
				found = append(found, channelsNamed(text, channels)...)
			}
		}
	}
	slices.Sort(found)
	switch found = slices.Compact(found); len(found) {
	case 0:
		return "", errors.New("it does not say which channel it is of, or one that the configuration does not have; try: bridge positions set")
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("which of %s is it?", strings.Join(found, ", "))
}

// channelsNamed are the channels that a name may mean: itself, one of the
// configuration's that ends so, or one that nothing else is called like.
func channelsNamed(name string, channels []string) (out []string) {
	for _, family := range []string{"/data/", "/event/", "/topic/", "/u/"} {
		if strings.HasPrefix(name, family) && len(name) > len(family) {
			return []string{name}
		}
	}
	if name == "" || strings.ContainsAny(name, "/ ") {
		return nil
	}
	for _, c := range channels {
		if c[strings.LastIndexByte(c, '/')+1:] == name {
			out = append(out, c)
		}
	}
	switch {
	case len(out) > 0:
	case name == "ChangeEvents", strings.HasSuffix(name, "ChangeEvent") && name != "ChangeEvent":
		out = []string{"/data/" + name}
	case strings.HasSuffix(name, "__e"):
		out = []string{"/event/" + name}
	}
	return out
}

func (o connectOffset) String() string {
	partition, _ := json.Marshal(o.Partition) // maps of JSON values
	offset, _ := json.Marshal(o.Offset)
	if o.Connector == "" {
		return fmt.Sprintf("partition %s, offset %s", short(partition), short(offset))
	}
	return fmt.Sprintf("connector %s, partition %s, offset %s", o.Connector, short(partition), short(offset))
}
