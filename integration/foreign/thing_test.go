package foreign_test

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
)

const thingSchema = `{"type":"record","name":"Thing","namespace":"org.example","fields":[
	{"name":"id","type":"long"},
	{"name":"name","type":["null","string"],"default":null},
	{"name":"amount","type":["null","double"],"default":null},
	{"name":"kind","type":{"type":"enum","name":"Kind","symbols":["CREATE","UPDATE"]}},
	{"name":"tags","type":{"type":"array","items":"string"}},
	{"name":"raw","type":"bytes"},
	{"name":"by","type":{"type":"map","values":"int"}},
	{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
	{"name":"inner","type":["null",{"type":"record","name":"Inner","fields":[{"name":"ok","type":"boolean"},{"name":"f","type":"float"}]}]}
]}`

// thing is record i in Avro's binary encoding, written by hand, so that the test
// compares a stranger's reading with the specification and not with another library.
func thing(i int) []byte {
	text := func(b []byte, s string) []byte { return append(binary.AppendVarint(b, int64(len(s))), s...) }
	b := binary.AppendVarint(nil, math.MaxInt64-int64(i)) // id: more digits than a double has
	if i%2 == 0 {
		b = append(b, 0)   // name: null
		b = append(b, 1*2) // amount: double
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(float64(i)+0.25))
	} else {
		b = text(append(b, 1*2), fmt.Sprintf("Zoë \"%d\"\n🙂", i))
		b = append(b, 0)
	}
	b = append(b, byte(i%2)*2)          // kind
	b = text(append(b, 1*2), "tag")     // tags: a block of one
	b = append(b, 0)                    // and the end
	b = text(b, "\x00\xff")             // raw
	b = text(append(b, 1*2), "k")       // by: a block of one
	b = binary.AppendVarint(b, -7)      //
	b = append(b, 0)                    // and the end
	b = binary.AppendVarint(b, 1e12+42) // at
	if i%3 == 0 {
		return append(b, 0)
	}
	b = append(b, 1*2, 1) // inner: ok
	return binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(math.NaN())))
}

func thingJSON(i int) map[string]any {
	m := map[string]any{
		"id": json.Number(fmt.Sprint(math.MaxInt64 - int64(i))), "name": nil, "amount": nil,
		"kind": []any{"CREATE", "UPDATE"}[i%2], "tags": []any{"tag"}, "raw": base64.StdEncoding.EncodeToString([]byte("\x00\xff")),
		"by": map[string]any{"k": json.Number("-7")}, "at": json.Number("1000000000042"), "inner": nil,
	}
	if i%2 == 0 {
		m["amount"] = json.Number(fmt.Sprintf("%d.25", i))
	} else {
		m["name"] = fmt.Sprintf("Zoë \"%d\"\n🙂", i)
	}
	if i%3 != 0 {
		m["inner"] = map[string]any{"ok": true, "f": "NaN"}
	}
	return m
}

func confluent(id int, avro []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), avro...)
}
