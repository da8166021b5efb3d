"""What `druse skills new` begins with: a text for each category, valid at once."""

from __future__ import annotations

from druse.skills.document import SkillDocument

_APPROACH = {
    "coding": "1. Read the code next to the change first.\n2. Write the test that fails.\n3. Make it pass.\n"
    "4. Run the checks.",
    "analysis": "1. Say the question and what an answer looks like.\n2. Name the sources.\n3. Compute.\n"
    "4. Check one figure by another way.",
    "writing": "1. Name the reader and what they do after reading.\n2. Outline.\n3. Write.\n4. Cut.",
    "data": "1. Look at ten rows.\n2. Write down types, ranges and missing values.\n3. Transform a copy.\n"
    "4. Compare counts before and after.",
}


def new_skill(name: str, description: str, category: str, keywords: str = "") -> SkillDocument:
    """A skill to be filled in, with the seed's three sections."""
    title = name.replace("-", " ").title()
    body = (
        f"\n# {title}\n\n## When to Use\n\n{description}\n\n## Approach\n\n{_APPROACH[category]}\n\n## Example\n\n"
        "Show one case from beginning to end.\n"
    )
    return SkillDocument(name, description, body).with_own(category=category, keywords=keywords, version="1")
