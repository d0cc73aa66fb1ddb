/** Something about the user's files or network that a person has to mend; shown without a stack trace. */
export class InitProblem extends Error {}
