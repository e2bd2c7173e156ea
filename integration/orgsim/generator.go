package orgsim

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// generator makes plausible values.
type generator struct {
	o   *Org
	rnd *rand.Rand
	n   int

	first, last, firms, kinds, streets, cities, notes []string
}

func newGenerator(o *Org, seed uint64) *generator {
	return &generator{
		o: o, rnd: rand.New(rand.NewPCG(seed, seedLoad)), //nolint:gosec // reproducible on purpose
		first:   strings.Fields("Ada Grace Linus Noor Émile Søren Yuki Mateo Ifeoma Priya Olga Tomás Wei Fatima Jonas Maeve Aisha Björn Chloé Dmitri"),
		last:    strings.Fields("Krol Okafor Nguyen Müller García Rossi Tanaka O'Neil Haddad Lindqvist Petrov Silva Dubois Kowalski Iyer Smith Ozturk Ruiz Berg Marsh"),
		firms:   strings.Fields("Acme Globex Initech Umbrella Northwind Contoso Vandelay Hooli Stark Wayne Tyrell Cyberdyne Soylent Wonka Gringotts Aperture Lumon Massive Pied Dunder"),
		kinds:   []string{"Industries", "Logistics", "Foods & Sons", "Energy AG", "Health", "Retail Group", "Systems", "Bank", "Chemie GmbH", "\"Blue\" Partners"},
		streets: []string{"Rue de la République", "Hauptstraße", "Market St", "5th Avenue", "Calle Mayor", "Storgatan", "Nowy Świat"},
		cities:  []string{"Lyon|France|69002", "Zürich|Switzerland|8001", "San Francisco|United States|94105", "Kraków|Poland|31-001", "Malmö|Sweden|211 22", "Osaka|Japan|530-0001", "Porto|Portugal|4000-001"},
		notes:   []string{"Called back, wants a quote.", "Line one\nline two\tend", "Says \"next week\" again \\o/", "Änderung des Vertrags besprochen", "契約更新の確認", "Payment promised 🙂"},
	}
}

func (g *generator) pick(list []string) string { return list[g.rnd.IntN(len(list))] }

func (g *generator) chance(percent int) bool { return g.rnd.IntN(100) < percent }

// fields makes values for a new record or event, or for an update: a few
// fields, one in ten of them cleared.
func (g *generator) fields(ob *object, update bool) Fields {
	g.n++
	out := Fields{}
	share := 70
	if update {
		share = 15
	}
	for _, f := range ob.fields {
		if f.system || f.Type == AutoNumber || !g.chance(share) && (update || !f.Required) {
			continue
		}
		if update && !f.Required && g.chance(10) {
			out[f.Name] = nil
			continue
		}
		if v := g.value(ob, f, update); v != nil {
			out[f.Name] = v
		}
	}
	return out
}

func (g *generator) value(ob *object, f *field, update bool) any {
	switch f.Type {
	case AccountName:
		if g.chance(5) {
			return g.person(false)
		}
		return g.pick(g.firms) + " " + g.pick(g.kinds)
	case PersonName:
		return g.person(update)
	case Address:
		return g.address(update)
	case Geolocation:
		return Fields{"Latitude": float64(g.rnd.IntN(180000)-90000) / 1000, "Longitude": float64(g.rnd.IntN(360000)-180000) / 1000}
	case Picklist, MultiPicklist:
		return g.choice(f)
	case Checkbox:
		return g.chance(50)
	case Integer:
		return g.rnd.IntN(100_000)
	case Number:
		return float64(g.rnd.IntN(1_000_000)) / 1000
	case Currency:
		return float64(g.rnd.IntN(2_000_000_000)) / 100
	case Percent:
		return float64(g.rnd.IntN(10_000)) / 100
	case Date:
		return g.o.now().AddDate(0, 0, g.rnd.IntN(400)-200)
	case DateTime:
		return g.o.now().UnixMilli() - g.rnd.Int64N(400*dayMillis)
	case Time:
		return g.rnd.Int64N(dayMillis)
	case Lookup:
		return g.reference(f)
	default:
		return g.text(ob, f)
	}
}

func (g *generator) choice(f *field) any {
	if len(f.Values) == 0 {
		return nil
	}
	if f.Type == Picklist {
		return g.pick(f.Values)
	}
	var some []string
	for _, v := range f.Values {
		if g.chance(50) {
			some = append(some, v)
		}
	}
	return strings.Join(some, ";")
}

// reference picks a living record of the object that the field refers to.
func (g *generator) reference(f *field) any {
	to := g.o.objects[f.ReferenceTo]
	if to == nil || len(to.live) == 0 {
		return nil
	}
	return to.live[g.rnd.IntN(len(to.live))].id
}

func (g *generator) person(update bool) Fields {
	out := Fields{"LastName": g.pick(g.last)}
	if !update || g.chance(30) {
		out["FirstName"] = g.pick(g.first)
	}
	if g.chance(30) {
		out["Salutation"] = g.pick([]string{"Ms.", "Mr.", "Dr."})
	}
	return out
}

func (g *generator) address(update bool) Fields {
	place := strings.Split(g.pick(g.cities), "|")
	out := Fields{"Street": fmt.Sprintf("%s %d", g.pick(g.streets), 1+g.rnd.IntN(200))}
	if !update || g.chance(50) {
		out["City"], out["Country"], out["PostalCode"] = place[0], place[1], place[2]
	}
	if g.chance(20) {
		out["Latitude"], out["Longitude"], out["GeocodeAccuracy"] = float64(g.rnd.IntN(90_000))/1000, float64(g.rnd.IntN(180_000))/1000, "Street"
	}
	if update && g.chance(15) {
		out["Street"] = nil
	}
	return out
}

func (g *generator) text(ob *object, f *field) any {
	switch f.Type {
	case Email:
		return strings.ToLower(fmt.Sprintf("user%d@%s.example", g.rnd.IntN(100_000), g.pick(g.firms)))
	case Phone:
		return fmt.Sprintf("+%d %d %04d", 1+g.rnd.IntN(98), 100+g.rnd.IntN(899), g.rnd.IntN(10_000))
	case URL:
		return "https://www." + strings.ToLower(g.pick(g.firms)) + ".example/"
	case LongText:
		return g.pick(g.notes)
	}
	switch {
	case strings.Contains(f.Name, "Status"):
		return g.pick([]string{"Placed", "Packed", "Shipped", "Returned"})
	case strings.Contains(f.Name, "Number"):
		return fmt.Sprintf("%s-%06d", strings.ToUpper(ob.def.Name[:2]), g.n)
	case f.Name == "Title":
		return g.pick([]string{"CTO", "Buyer", "VP Sales", "Analyst", "Head of Ops"})
	}
	text := g.pick(g.firms)
	return text[:min(len(text), f.Length)]
}
