package transform_test

import (
	"context"
	"fmt"

	"github.com/sfbridge/bridge/schemas"
	"github.com/sfbridge/bridge/transform"
)

// exampleHeader is the header of change events, in short.
const exampleHeader = `{"name":"ChangeEventHeader","type":{"type":"record","name":"ChangeEventHeader","fields":[
	{"name":"entityName","type":"string"},
	{"name":"recordIds","type":{"type":"array","items":"string"}},
	{"name":"changeType","type":{"type":"enum","name":"ChangeType","symbols":["CREATE","UPDATE","DELETE"]}},
	{"name":"transactionKey","type":"string"},
	{"name":"sequenceNumber","type":"int"},
	{"name":"commitTimestamp","type":"long"},
	{"name":"commitNumber","type":"long"},
	{"name":"nulledFields","type":{"type":"array","items":"string"}},
	{"name":"changedFields","type":{"type":"array","items":"string"}}]}}`

// One change of two records becomes two Kafka records.
func Example() {
	catalog := schemas.NewCatalog(schemas.FetcherFunc(func(context.Context, string) ([]byte, error) {
		return []byte(`{"name":"AccountChangeEvent","namespace":"com.sforce.eventbus","type":"record","fields":[` + exampleHeader + `,
			{"name":"Phone","type":["null","string"],"default":null},
			{"name":"Founded__c","type":["null","long"],"doc":"Data:Date:00Nxx","default":null}]}`), nil
	}))
	encoder, err := transform.NewEncoder(transform.Config{
		OrgID: "00Dxx0000001gPLEAY", Schemas: catalog, Format: transform.JSON,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	records, meta, err := encoder.Encode(context.Background(), nil, &transform.Event{
		Channel: "/data/AccountChangeEvent", Position: "65219", SchemaID: "TJ7XSrLXBLKw6fpdXgRzSg",
		Payload: []byte(`{"ChangeEventHeader":{"entityName":"Account","changeType":"UPDATE","transactionKey":"0001ade9","sequenceNumber":1,
			"commitTimestamp":1772615722000,"commitNumber":9223372036854775807,"recordIds":["001xx000003DGb2AAG","001xx000003DGb3AAG"]},
			"Phone":null,"Founded__c":"1987-06-01"}`),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(meta.Object, meta.ChangeType, meta.Time.UTC())
	for _, r := range records {
		fmt.Println(r.Topic, string(r.Key), len(r.Headers))
	}
	fmt.Println(string(records[0].Value))
	// Output:
	// Account UPDATE 2026-03-04 09:15:22 +0000 UTC
	// salesforce.Account 001xx000003DGb2AAG 11
	// salesforce.Account 001xx000003DGb3AAG 11
	// {"ChangeEventHeader":{"entityName":"Account","recordIds":["001xx000003DGb2AAG","001xx000003DGb3AAG"],"changeType":"UPDATE","transactionKey":"0001ade9","sequenceNumber":1,"commitTimestamp":1772615722000,"commitNumber":9223372036854775807,"nulledFields":["Phone"],"changedFields":["Phone","Founded__c"]},"Phone":null,"Founded__c":549504000000}
}

// The same event in each envelope: a flat row, and a change as Debezium has it.
func Example_envelopes() {
	catalog := schemas.NewCatalog(schemas.FetcherFunc(func(context.Context, string) ([]byte, error) {
		return []byte(`{"name":"ContactChangeEvent","namespace":"com.sforce.eventbus","type":"record","fields":[` + exampleHeader + `,
			{"name":"MailingAddress","type":["null",{"type":"record","name":"Address","fields":[
				{"name":"City","type":["null","string"]},{"name":"PostalCode","type":["null","string"]}]}]},
			{"name":"Phone","type":["null","string"]}]}`), nil
	}))
	const channel = "/data/ContactChangeEvent"
	for _, envelope := range []schemas.Envelope{schemas.FlatEnvelope, schemas.DebeziumEnvelope} {
		encoder, err := transform.NewEncoder(transform.Config{
			OrgID: "00Dxx0000001gPLEAY", Schemas: catalog, Format: transform.JSON, SourceName: "acme", Version: "1.0.0",
			Streams: map[string]transform.StreamOptions{channel: {Envelope: envelope}},
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		records, _, err := encoder.Encode(context.Background(), nil, &transform.Event{
			Channel: channel, Position: "65219", SchemaID: "TJ7X",
			Payload: []byte(`{"ChangeEventHeader":{"entityName":"Contact","changeType":"UPDATE","transactionKey":"0001ade9","sequenceNumber":1,
				"commitTimestamp":1772615722000,"commitNumber":10932465891,"recordIds":["003xx000004TmiQAAS"]},
				"MailingAddress":{"City":"Lyon"},"Phone":null}`),
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(string(records[0].Value))
	}
	// Output:
	// {"Id":"003xx000004TmiQAAS","MailingCity":"Lyon","Phone":null,"_entityName":"Contact","_changeType":"UPDATE","_transactionKey":"0001ade9","_sequenceNumber":1,"_commitTimestamp":1772615722000,"_commitNumber":10932465891,"_nulledFields":["Phone"],"_changedFields":["Phone","MailingCity"]}
	// {"before":{"Id":"003xx000004TmiQAAS"},"after":{"Id":"003xx000004TmiQAAS","MailingCity":"Lyon","Phone":null},"source":{"version":"1.0.0","connector":"salesforce","name":"acme","ts_ms":1772615722000,"snapshot":"false","db":"00Dxx0000001gPLEAY","table":"Contact","channel":"/data/ContactChangeEvent","replayId":"65219","schemaId":"TJ7X","entityName":"Contact","changeType":"UPDATE","transactionKey":"0001ade9","sequenceNumber":1,"commitTimestamp":1772615722000,"commitNumber":10932465891,"nulledFields":["Phone"],"changedFields":["Phone","MailingCity"]},"transaction":{"id":"0001ade9","total_order":1,"data_collection_order":1},"op":"u","ts_ms":1772615722000}
}

// What comes on one channel goes to the topics of its objects: by their names, by
// names like theirs, or by the template for all.
func ExampleTopicOf() {
	cfg := transform.Config{
		Prefix: "crm", TopicTemplate: "{{.Prefix}}.{{.Object}}",
		TopicMap:    map[string]string{"Account": "{{.Prefix}}.customers"},
		TopicRoutes: []transform.TopicRoute{{Match: `(\w+?)__\w+__c`, Topic: "{{.Prefix}}.{{.Match1}}"}},
	}
	for _, object := range []string{"Account", "acme__Invoice__c", "acme__Order__c", "Contact"} {
		topic, err := transform.TopicOf(cfg, "/data/ChangeEvents", object, "UPDATE")
		fmt.Println(topic, err)
	}
	// Output:
	// crm.customers <nil>
	// crm.acme <nil>
	// crm.acme <nil>
	// crm.Contact <nil>
}
