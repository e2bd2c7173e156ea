package model

// Protocol is one variant of what is explored. The zero value of every switch is
// what the bridge does on a current Kafka; each of the others takes one
// protection away.
type Protocol struct {
	// Events is how many the org has, in one stream; all of them are there from
	// the beginning. Batch is how many one commit may carry.
	Events, Batch int
	// Moves bounds how often the lane is assigned anew, Troubles how many
	// crashes, lost answers, doubled requests, timeouts and elections there are
	// altogether.
	Moves, Troubles int

	Delivery Delivery
	Position Position
	Reading  Reading
	// OwnID gives each owner a transactional id of its own: none fences another.
	OwnID bool
	// SameEpoch gives the new owner of a transactional id the epoch of the old one.
	SameEpoch bool
	// SubscribeFirst subscribes after what is stored, and opens the producer then.
	SubscribeFirst bool
	// EagerInit answers InitProducerID though markers of the last transaction are
	// missing, as no Kafka does.
	EagerInit bool
	// AbortsAtOnce asks for an abort though requests of the transaction were not
	// answered yet.
	AbortsAtOnce bool
	// Bounded holds AtLeastOnce to one batch of repeats for each trouble and move.
	Bounded bool
	// Prompt loses what is under way when its sender stops waiting, so that
	// nothing arrives late.
	Prompt bool
	// Repeats lets the request for the end of a transaction arrive twice.
	Repeats bool
	Broker  Broker
}

// Delivery is what a commit is made of.
type Delivery uint8

// What a commit is.
const (
	ExactlyOnce Delivery = iota // one transaction, of a transactional id
	AtLeastOnce                 // records, their acknowledgement, then the position
)

// Position is where the position travels.
type Position uint8

// Where the position can be.
const (
	WithRecords   Position = iota // in the transaction of the records
	BeforeRecords                 // in a transaction of its own before it
	AfterRecords                  // in a transaction of its own after it
)

// Reading is how far an owner reads the positions.
type Reading uint8

// How far a reader can read.
const (
	ToBarrier   Reading = iota // until the barrier that it committed comes back
	WhatIsThere                // until a fetch brings nothing
	ToStableEnd                // up to the last stable offset that ListOffsets names
)

// Broker is which Kafka it is.
type Broker uint8

const (
	// Kafka4 has transaction.version 2: each end of a transaction gives its
	// producer a new epoch, and a leader enters a partition into the transaction
	// that a record begins (KIP-890, part 2).
	Kafka4 Broker = iota
	// Kafka36 has transaction.version 0 or 1: the epoch changes with the owner
	// only, but a leader asks the coordinator before a record begins a
	// transaction (KIP-890, part 1, Kafka 3.6 to 3.9).
	Kafka36
	// Kafka35 and older take whatever has an epoch that is not too old.
	Kafka35
)

// stages are the partitions that the transactions of a commit write to, in turn.
func (p Protocol) stages() []uint8 {
	switch {
	case p.Position == BeforeRecords:
		return []uint8{toPositions, toRecords}
	case p.Position == AfterRecords, p.Delivery == AtLeastOnce:
		return []uint8{toRecords, toPositions}
	default:
		return []uint8{toRecords | toPositions}
	}
}

// id is the transactional id of an owner.
func (p Protocol) id(owner uint8) uint8 {
	if p.OwnID {
		return owner
	}
	return 0
}
