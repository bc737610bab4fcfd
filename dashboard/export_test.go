package dashboard

// Spoil has the next look read everything anew.
func (d *Dashboard) Spoil() {
	d.history.spoil()
	d.byStep.spoil()
	d.spoil()
}

// Route is one of the table.
type Route struct {
	Method, Pattern string
	Least           Role // the least role that may ask
}

// Routes returns the table.
func Routes() (all []Route) {
	least := map[permission]Role{
		view: Viewer, retry: Operator, cancel: Operator, edit: Operator, push: Operator,
		control: Operator, destroy: Admin, subscribe: Admin,
	}
	for _, r := range routes() {
		all = append(all, Route{r.method, r.pattern, least[r.needs]})
	}
	return all
}

// HasText reports whether there is a text.
func HasText(key string) bool {
	for _, l := range languages {
		if _, ok := l.words[key]; !ok {
			return false
		}
	}
	return true
}

// TakeSearches takes all places of costly searches, until leave.
func (d *Dashboard) TakeSearches() (leave func()) {
	for range searchesAtOnce {
		d.searches <- struct{}{}
	}
	return func() {
		for range searchesAtOnce {
			<-d.searches
		}
	}
}
