"""Staff by our own names: one role each, and no column that a library asked for"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

RENAMED = {
    "fs_uniquifier": "sign_in_key",
    "tf_totp_secret": "totp_secret",
    "tf_last_counter": "totp_step",
    "mf_recovery_codes": "recovery_codes",
}


def upgrade() -> None:
    with op.batch_alter_table("staff", schema=None) as batch_op:
        batch_op.add_column(sa.Column("role", sa.String(length=20), nullable=True))
        batch_op.drop_constraint(batch_op.f("uq_staff_fs_uniquifier"), type_="unique")
        batch_op.drop_column("tf_primary_method")
        for old, new in RENAMED.items():
            batch_op.alter_column(old, new_column_name=new)
    # Nobody has two; who has none opens no door and stays out.
    op.execute(
        "UPDATE staff SET role = (SELECT min(staff_roles.name) FROM staff_roles JOIN"
        " staff_role_members ON role_id = staff_roles.id WHERE staff_id = staff.id)"
    )
    op.execute("UPDATE staff SET role = 'support', active = false WHERE role IS NULL")
    role = sa.Enum(
        "owner",
        "editor",
        "support",
        name="role",
        native_enum=False,
        create_constraint=True,
        length=20,
    )
    with op.batch_alter_table("staff", schema=None) as batch_op:
        batch_op.alter_column("role", type_=role, existing_type=sa.String(20), nullable=False)
        batch_op.create_unique_constraint(batch_op.f("uq_staff_sign_in_key"), ["sign_in_key"])
    op.drop_table("staff_role_members")
    op.drop_table("staff_roles")


def downgrade() -> None:
    op.create_table(
        "staff_roles",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_staff_roles")),
        sa.UniqueConstraint("name", name=op.f("uq_staff_roles_name")),
    )
    op.create_table(
        "staff_role_members",
        sa.Column("staff_id", sa.Integer(), nullable=False),
        sa.Column("role_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["role_id"], ["staff_roles.id"], name=op.f("fk_staff_role_members_role_id")
        ),
        sa.ForeignKeyConstraint(
            ["staff_id"], ["staff.id"], name=op.f("fk_staff_role_members_staff_id")
        ),
        sa.PrimaryKeyConstraint("staff_id", "role_id", name=op.f("pk_staff_role_members")),
    )
    op.execute("INSERT INTO staff_roles (name) SELECT DISTINCT role FROM staff")
    op.execute(
        "INSERT INTO staff_role_members (staff_id, role_id)"
        " SELECT staff.id, staff_roles.id FROM staff JOIN staff_roles ON name = role"
    )
    with op.batch_alter_table("staff", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("uq_staff_sign_in_key"), type_="unique")
        batch_op.drop_constraint(batch_op.f("ck_staff_role"), type_="check")
        batch_op.drop_column("role")
        batch_op.add_column(sa.Column("tf_primary_method", sa.String(length=20), nullable=True))
        for old, new in RENAMED.items():
            batch_op.alter_column(new, new_column_name=old)
    op.execute(
        "UPDATE staff SET tf_primary_method = 'authenticator' WHERE tf_totp_secret IS NOT NULL"
    )
    with op.batch_alter_table("staff", schema=None) as batch_op:
        batch_op.create_unique_constraint(batch_op.f("uq_staff_fs_uniquifier"), ["fs_uniquifier"])
