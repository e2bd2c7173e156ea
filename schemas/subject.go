package schemas

import "fmt"

// SubjectStrategy says under which subject of the registry a schema goes. The
// names are Confluent's ("Subject name strategy").
type SubjectStrategy uint8

const (
	// TopicSubject is <topic>-value: one schema line per topic.
	TopicSubject SubjectStrategy = iota
	// RecordSubject is the schema's full name: one line per event type,
	// whatever the topic.
	RecordSubject
	// TopicRecordSubject is <topic>-<full name>.
	TopicRecordSubject
)

// Subject returns the subject for values of s in a topic.
func (st SubjectStrategy) Subject(topic string, s *Schema) string {
	switch st {
	case RecordSubject:
		return s.FullName
	case TopicRecordSubject:
		return topic + "-" + s.FullName
	}
	return topic + "-value"
}

// String returns the strategy's name in configurations.
func (st SubjectStrategy) String() string {
	switch st {
	case TopicSubject:
		return "topic"
	case RecordSubject:
		return "record"
	case TopicRecordSubject:
		return "topic_record"
	}
	return fmt.Sprintf("SubjectStrategy(%d)", uint8(st))
}

// ParseSubjectStrategy is the inverse of String.
func ParseSubjectStrategy(name string) (SubjectStrategy, error) {
	for _, st := range []SubjectStrategy{TopicSubject, RecordSubject, TopicRecordSubject} {
		if st.String() == name {
			return st, nil
		}
	}
	return 0, fmt.Errorf("unknown subject strategy %q; known are topic, record, topic_record", name)
}
