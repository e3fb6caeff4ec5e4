"""Authority: which rights there are, which role has which, and who acts with them.

Every service that changes something for staff names the right that it needs, once (`acting.needs`); the console, the
staff API and the commands act with a `Staff` made of the signed-in user, and are refused there. Roles are a table in
`roles`, reviewed as code; a Django group of the role's name says who has it. Only superusers put people into groups.
"""
