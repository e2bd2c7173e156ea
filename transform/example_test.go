package transform_test

import (
	"context"
	"fmt"

	"github.com/sfbridge/bridge/schemas"
	"github.com/sfbridge/bridge/transform"
)

// One change of two records becomes two Kafka records.
func Example() {
	catalog := schemas.NewCatalog(schemas.FetcherFunc(func(context.Context, string) ([]byte, error) {
		return []byte(`{"name":"AccountChangeEvent","namespace":"com.sforce.eventbus","type":"record","fields":[
			{"name":"ChangeEventHeader","type":{"type":"record","name":"ChangeEventHeader","fields":[
				{"name":"entityName","type":"string"},
				{"name":"recordIds","type":{"type":"array","items":"string"}},
				{"name":"changeType","type":{"type":"enum","name":"ChangeType","symbols":["CREATE","UPDATE","DELETE"]}},
				{"name":"transactionKey","type":"string"},
				{"name":"sequenceNumber","type":"int"},
				{"name":"commitTimestamp","type":"long"},
				{"name":"commitNumber","type":"long"},
				{"name":"nulledFields","type":{"type":"array","items":"string"}},
				{"name":"changedFields","type":{"type":"array","items":"string"}}]}},
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
