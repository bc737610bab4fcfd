package settings

// DidYouMean names the candidate that is nearest to what was typed, if one is near. The first letter is seldom wrong.
func DidYouMean(typed, prefix string, candidates []string) string {
	best, least := "", 2*(len(typed)/2+1)
	for _, candidate := range candidates {
		d := 2 * distance(typed, candidate)
		if typed == "" || candidate[0] != typed[0] {
			d++
		}
		if d < least {
			best, least = candidate, d
		}
	}
	if best == "" {
		return ""
	}
	return ": did you mean " + prefix + best + "?"
}

// distance counts the letters to insert, delete, replace or swap with their neighbours that make a into b.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			differs := 1
			if a[i-1] == b[j-1] {
				differs = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+differs)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
