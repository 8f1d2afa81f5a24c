"""Duty posts: desks that somebody is at, whoever that is today."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import ConfigDict

from api.http.access import Right
from api.http.context import Allowed, ScopedHere, context_of
from api.http.routes.entering import (
    After,
    IdInPath,
    Try,
    Version,
    add,
    by,
    keep,
    kept_here,
    own,
    page,
    refusing,
    take_out,
    try_way,
)
from api.http.routes.inputs import Limit
from api.http.scope import Scoped
from api.http.shapes.people import Post, Posts, Tried
from api.people.keeping import find
from api.people.parts import AreaId, Id, PostPart

posts = APIRouter(tags=["posts"], dependencies=[Depends(Allowed(Right.PEOPLE))])


class NewPost(PostPart):
    """An id that no person has, and all else that there is to say."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "xuhui-police",
                    "name": {"zh": "徐汇派出所", "en": "Xuhui police station"},
                    "area": "xuhui",
                    "members": [],
                    "ways": [{"via": "sms", "address": "13800001111"}],
                }
            ]
        }
    )

    id: Id


@posts.get("/posts")
async def find_posts(
    scoped: ScopedHere,
    area: Annotated[AreaId | None, Query()] = None,
    after: After = "",
    limit: Limit = 100,
) -> Posts:
    """List the posts of your areas, by id."""
    kept = await kept_here(scoped)
    found = [
        post
        for post in own(kept.posts.values(), by(scoped))
        if area is None or post.answers_for(area)
    ]
    shown, rest = page(found, after, limit)
    return Posts(posts=[Post.of(each) for each in shown], next_after=rest)


@posts.post("/posts", status_code=201)
async def add_post(scoped: ScopedHere, wanted: NewPost) -> Post:
    await add(scoped, wanted.id, wanted, PostPart)
    return await _one(scoped, wanted.id)


@posts.get("/posts/{id}")
async def get_post(scoped: ScopedHere, id: IdInPath) -> Post:  # noqa: A002
    return await _one(scoped, id)


@posts.put("/posts/{id}")
async def change_post(
    scoped: ScopedHere,
    id: IdInPath,  # noqa: A002
    wanted: PostPart,
    version: Version = "",
) -> Post:
    """Replace all that is said of a post; ways keep what is not sent with them."""
    await keep(scoped, id, wanted, new=False, version=version)
    return await _one(scoped, id)


@posts.delete("/posts/{id}", status_code=204)
async def delete_post(scoped: ScopedHere, id: IdInPath) -> None:  # noqa: A002
    """Delete a post that no route names."""
    await take_out(scoped, id, "post")


@posts.post("/posts/{id}/try")
async def try_post(
    request: Request,
    scoped: ScopedHere,
    id: IdInPath,  # noqa: A002
    wanted: Try,
) -> Tried:
    """Send a test message by one way, and return what the receiver answered."""
    there = (await kept_here(scoped)).posts
    return Tried.of(await try_way(context_of(request), scoped, there, id, wanted.via))


async def _one(scoped: Scoped, number: str) -> Post:
    kept = await kept_here(scoped)
    with refusing():
        return Post.of(find(kept.posts, number, "post", by(scoped)))
